"""`migrate` that lets nobody wait: it gives up a lock it cannot have within a second, lets the others through, and tries again.

A change to a table must have the table for itself for a moment. While it waits for that, behind a long count, say, everybody
else waits behind it: so it may wait for a second only.
"""

import time
from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import OperationalError, connections
from psycopg2.errors import LockNotAvailable

#: Seconds that a lock is waited for (with what comes on top, nobody waits for more than one), and between two tries.
LOCK, PAUSE = 0.9, 0.5
TRIES = 120


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        connection = connections[options["database"]]
        for _ in range(TRIES):
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = %s", [f"{LOCK}s"])
            try:
                super().handle(*args, **options)
                return
            except OperationalError as error:
                if not isinstance(error.__cause__, LockNotAvailable):
                    raise
                self.stderr.write("A table is in use: the migration lets the others through and tries again.")
                time.sleep(PAUSE)
            finally:
                if connection.connection and not connection.connection.closed:
                    with connection.cursor() as cursor:
                        cursor.execute("RESET lock_timeout")
        raise CommandError(
            "A table was in use all the time: what has been migrated stays, run the command again for the rest."
        )
