"""Transfers are held against the new accounts, and returns are found by their registrant; others write meanwhile."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations, models

from foundation.indexing import AddIndexBeside


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("trainings", "0004_returns")]

    operations = [
        ValidateConstraint("transfer", "transfer_accounts"),
        AddIndexBeside("transfer", models.Index("debit", name="returns_of_a_registrant", condition=models.Q(("kind", 4)))),
    ]
