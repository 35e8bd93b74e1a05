"""A code's MAC of 128 bits: PostgreSQL stores that in 16 bytes."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("verification", "0002_delivery")]

    operations = [
        # The MAC's input has changed too: what was sent before does not work any more, and a new code may be asked for.
        migrations.RunSQL("UPDATE verification_onetimecode SET mac = NULL", migrations.RunSQL.noop),
        migrations.RunSQL(
            "ALTER TABLE verification_onetimecode ALTER COLUMN mac TYPE uuid USING NULL",
            "ALTER TABLE verification_onetimecode ALTER COLUMN mac TYPE bytea USING NULL",
            state_operations=[migrations.AlterField("onetimecode", "mac", models.UUIDField(null=True))],
        ),
    ]
