"""What a plan costs, whatever it is: how many rows were read."""

from django.db import connection


def rows_read(*tables: str) -> int:
    """So many rows of these tables this transaction has read."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(seq_tup_read + idx_tup_fetch) FROM pg_stat_xact_user_tables WHERE relname = ANY (%s)", [list(tables)]
        )
        return int(cursor.fetchone()[0])
