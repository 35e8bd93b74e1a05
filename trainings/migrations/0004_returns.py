"""What was not spent in time goes back to the programme. Existing rows are looked at by the next migration, which locks nobody out."""

from importlib import import_module

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models
from django.db.models import Q

before = import_module("trainings.migrations.0002_money")


def moved(body: str) -> str:
    return (
        "CREATE OR REPLACE FUNCTION trainings_transfer_insert() RETURNS trigger LANGUAGE plpgsql"
        f" AS $$ BEGIN {body} RETURN NULL; END $$;"
    )


class Migration(migrations.Migration):
    dependencies = [("trainings", "0003_seats_given_back")]

    operations = [
        migrations.RunSQL(moved(before.MOVED.replace("kind <> 1", "kind IN (2, 3)")), moved(before.MOVED)),
        migrations.AlterField(
            "transfer",
            "kind",
            models.PositiveSmallIntegerField(
                choices=[
                    (1, "Training balance"),
                    (2, "Training bought"),
                    (3, "Training cancelled"),
                    (4, "Not spent in time: back to the treasury"),
                ]
            ),
        ),
        migrations.RemoveConstraint("transfer", "transfer_accounts"),
        AddConstraintNotValid(
            "transfer",
            models.CheckConstraint(
                name="transfer_accounts",
                condition=Q(kind=1, debit=0, credit__gt=0, purchase_id=None)
                | Q(kind=2, debit__gt=0, credit__lt=0, purchase_id__isnull=False)
                | Q(kind=3, debit__lt=0, credit__gt=0, purchase_id__isnull=False)
                | Q(kind=4, debit__gt=0, credit=0, purchase_id=None),
            ),
        ),
    ]
