"""Queues are read in the order of their places. By itself, so that it can be run again when it is broken off."""

from django.contrib.postgres.operations import RemoveIndexConcurrently
from django.db import migrations, models

from foundation.indexing import AddIndexBeside


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("foundation", "0004_places_in_queues")]

    operations = [
        AddIndexBeside("work", models.Index(fields=["queue", "since"], name="work_queue")),
        RemoveIndexConcurrently("work", "work_due"),
    ]
