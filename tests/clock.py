"""Time that a test lets pass."""

from datetime import UTC, datetime
from typing import Any

from django.db import connection

from foundation.models import Work

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def fall_due(**conditions: Any) -> None:
    """This work, or all, has long been due; also what somebody has in hand: the lease is over."""
    Work.objects.filter(**conditions).update(since=LONG_AGO, due_at=LONG_AGO)


def pass_time(seconds: float) -> None:
    """All that the database waits for comes nearer, as if so many seconds had passed."""
    with connection.cursor() as cursor:
        for table, columns in {
            "foundation_work": ("since", "due_at"),
            "foundation_servicestate": ("probe_at", "refilled_at"),
        }.items():
            nearer = ", ".join(f"{column} = {column} - %s * interval '1 s'" for column in columns)
            cursor.execute(f"UPDATE {table} SET {nearer}", [seconds] * len(columns))
