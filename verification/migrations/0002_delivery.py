"""What became of the SMS with a code, and how many receipts told something."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("verification", "0001_initial")]

    operations = [
        migrations.AddField("onetimecode", "delivery", models.PositiveSmallIntegerField(db_default=0)),
        migrations.CreateModel(
            name="ReceiptDay",
            fields=[
                ("day", models.DateField(primary_key=True, serialize=False)),
                ("applied", models.PositiveIntegerField()),
                ("repeated", models.PositiveIntegerField()),
                ("unknown", models.PositiveIntegerField()),
            ],
        ),
    ]
