"""What SMS providers carried and delivered, and why one is left for a while."""

import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("foundation", "0001_initial")]

    operations = [
        migrations.AddField("servicestate", "errors", models.PositiveIntegerField(db_default=0)),
        migrations.AddField(
            "servicestate",
            "errors_since",
            models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
        ),
        migrations.AddField("servicestate", "awaits_receipts", models.BooleanField(db_default=False)),
        migrations.AddField("servicestate", "judged_since", models.DateTimeField(null=True)),
        migrations.CreateModel(
            name="Carriage",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("slot", models.DateTimeField()),
                ("provider", models.CharField(max_length=20)),
                ("accepted", models.PositiveIntegerField()),
                ("delivered", models.PositiveIntegerField()),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("slot", "provider"), name="carriage_slot")],
            },
        ),
    ]
