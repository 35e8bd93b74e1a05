"""Time that a test lets pass."""

from django.db import connection


def pass_time(seconds: float) -> None:
    """All that the database waits for comes nearer, as if so many seconds had passed."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE foundation_work SET due_at = due_at - %s * interval '1 s'", [seconds])
        cursor.execute(
            "UPDATE foundation_servicestate SET probe_at = probe_at - %s * interval '1 s',"
            " refilled_at = refilled_at - %s * interval '1 s'",
            [seconds, seconds],
        )
