"""Whose window to answer a survey has closed is found by when the first incentive came.

Only the last climb changes it: all others stay cheap (HOT) updates.
"""

from django.db import migrations, models

from foundation.indexing import AddIndexBeside


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("registrations", "0005_after_the_decree")]

    operations = [
        AddIndexBeside(
            "registrant",
            models.Index(
                fields=["incentive_received_at", "id"],
                name="first_incentives",
                condition=models.Q(incentive_received_at__isnull=False),
            ),
        ),
    ]
