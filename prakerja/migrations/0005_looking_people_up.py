"""Looking somebody up is written down, and takes a permission. Neither touches the table."""

from importlib import import_module

from django.db import migrations, models

before = import_module("prakerja.migrations.0004_deeds")

NAMES = [*before.NAMES, ("person_looked_up", "Person looked up"), ("person_shown", "Person shown in full")]


class Migration(migrations.Migration):
    dependencies = [("prakerja", "0004_deeds")]

    operations = [
        migrations.AlterField("deed", "name", models.CharField(choices=NAMES, max_length=20)),
        migrations.AlterModelOptions(
            "deed",
            {
                "ordering": ["-pk"],
                "permissions": [
                    ("look_up_people", "May look people up; personal data are masked"),
                    ("see_personal_data", "May see the personal data of people whom they look up in full"),
                ],
            },
        ),
    ]
