"""What recipients do is simulated too."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("prakerja", "0002_arrivals_are_work")]

    operations = [migrations.AddField("run", "spending", models.BooleanField(default=False))]
