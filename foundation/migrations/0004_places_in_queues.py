"""A parcel keeps its place in the queue while it is in somebody's hand."""

from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    dependencies = [("foundation", "0003_notes_in_one")]

    operations = [
        migrations.AddField("work", "since", models.DateTimeField(db_default=Now())),
        migrations.RunSQL("UPDATE foundation_work SET since = due_at", migrations.RunSQL.noop),
    ]
