"""How far a simulation is, is told by the work that is left."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("prakerja", "0001_initial")]

    operations = [migrations.RemoveField("run", "sent_in")]
