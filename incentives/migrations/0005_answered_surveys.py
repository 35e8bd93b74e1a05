"""How far the surveys are, and which are paid late, is read from an index of their own."""

from django.db import migrations, models
from django.db.models import F, Q
from django.db.models.functions import Mod
from django.db.models.lookups import GreaterThanOrEqual

from foundation.indexing import AddIndexBeside


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("incentives", "0004_what_is_left_over")]

    operations = [
        AddIndexBeside(
            "obligation",
            models.Index(
                fields=["state", "gate", "due_at", "id"],
                name="answered_surveys",
                include=["amount"],
                condition=Q(GreaterThanOrEqual(Mod(F("id"), 16), 5)),
            ),
        ),
    ]
