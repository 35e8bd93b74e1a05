from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("incentives", "0002_books")]

    operations = [
        migrations.CreateModel(
            name="SurveyAnswer",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "registrant_id", "survey", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("registrant_id", models.BigIntegerField()),
                ("at", models.DateTimeField()),
                ("survey", models.PositiveSmallIntegerField()),
                ("told", models.JSONField()),
            ],
        ),
    ]
