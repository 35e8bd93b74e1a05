"""The notes of a parcel are sealed as one, not one by one; its instants are numbers."""

from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("foundation", "0002_failover")]

    operations = [
        # Mails and texts of the old form cannot be opened by SQL: a code can be asked for again, and so can a letter.
        migrations.RunSQL(
            "DELETE FROM foundation_work WHERE queue IN ('mailbox', 'handset', 'messages')", migrations.RunSQL.noop
        ),
        migrations.RemoveConstraint("work", "work_parallel"),
        migrations.RemoveField("work", "notes"),
        migrations.AddField("work", "notes", models.BinaryField(null=True)),
        migrations.RunSQL(
            # A change of type may not look at all elements of an array; an instant of now is the next best.
            "ALTER TABLE foundation_work ALTER COLUMN instants TYPE bigint[] USING NULL",
            "ALTER TABLE foundation_work ALTER COLUMN instants TYPE timestamptz[] USING NULL",
            state_operations=[
                migrations.AlterField("work", "instants", ArrayField(models.BigIntegerField(), null=True)),
            ],
        ),
        migrations.AddConstraint(
            "work",
            models.CheckConstraint(
                name="work_parallel",
                condition=models.Q(subjects__len__gt=0)
                & (models.Q(instants=None) | models.Q(instants__len=models.F("subjects__len"))),
            ),
        ),
        migrations.RunSQL(
            # What is sealed cannot be compressed, and a parcel does not live long enough for it to pay. A parcel is written
            # three times a batch: its dead versions must go before they are many.
            """
            ALTER TABLE foundation_work ALTER COLUMN notes SET STORAGE EXTERNAL,
                ALTER COLUMN subjects SET STORAGE EXTERNAL, ALTER COLUMN instants SET STORAGE EXTERNAL,
                SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200,
                     toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 5000)
            """,
            migrations.RunSQL.noop,
        ),
    ]
