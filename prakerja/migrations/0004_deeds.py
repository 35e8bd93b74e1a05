"""What people of the office do with money and keys is written down, and stays as it is written."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

NAMES = [
    ("batch_proposed", "Batch proposed"),
    ("batch_approved", "Batch approved"),
    ("batch_refused", "Batch refused"),
    ("batch_withdrawn", "Batch taken back"),
    ("batch_stopped", "Sending stopped"),
    ("batch_released", "What was not sent was given free"),
    ("file_taken", "Daily file taken"),
    ("leftover_settled", "Difference settled"),
    ("leftover_accepted", "Payer's word taken over"),
    ("client_made", "Credentials made"),
    ("client_revoked", "Credentials revoked"),
    ("secret_drawn", "Secret drawn"),
    ("events_replayed", "Events told again"),
]


class Migration(migrations.Migration):
    dependencies = [
        ("prakerja", "0003_run_spending"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Deed",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("name", models.CharField(choices=NAMES, max_length=20)),
                ("about", models.CharField(max_length=60)),
                ("told", models.TextField(blank=True)),
                ("once", models.UUIDField(null=True, unique=True)),
                (
                    "by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "ordering": ["-pk"],
                "indexes": [models.Index(fields=["about", "-id"], name="deeds_about")],
            },
        ),
        migrations.RunSQL(
            # What a deed is about may be known only when it is done: until then, and only until then, it is empty.
            """
            CREATE FUNCTION prakerja_deed_stays() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF TG_OP = 'UPDATE' THEN
                    IF OLD.about = '' AND (OLD.id, OLD.by_id, OLD.at, OLD.name, OLD.told, OLD.once)
                       IS NOT DISTINCT FROM (NEW.id, NEW.by_id, NEW.at, NEW.name, NEW.told, NEW.once) THEN
                        RETURN NEW;
                    END IF;
                END IF;
                RAISE EXCEPTION 'what was done stays written' USING ERRCODE = 'check_violation';
            END $$;
            CREATE TRIGGER deed_stays BEFORE UPDATE OR DELETE ON prakerja_deed
                FOR EACH ROW EXECUTE FUNCTION prakerja_deed_stays();
            """,
            "DROP TRIGGER deed_stays ON prakerja_deed; DROP FUNCTION prakerja_deed_stays;",
        ),
    ]
