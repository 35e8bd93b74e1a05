"""A new column on the full table, behind a long count, while people are written: the longest that a writer has to wait."""

import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event, Thread

import psycopg2
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test.utils import override_settings

from benchmarks.clock import seconds

APP = "verification"
WRITERS = 2
#: The count goes on for so many seconds after it has counted.
COUNTING = 8.0

MIGRATION = """
from django.db import migrations

class Migration(migrations.Migration):
    dependencies = [("{app}", "{last}")]
    operations = [migrations.RunSQL(
        "ALTER TABLE registrations_registrant ADD COLUMN tried_out smallint",
        "ALTER TABLE registrations_registrant DROP COLUMN tried_out",
    )]
"""


def measure() -> dict[str, float]:
    """On the people whom the chain has left; leaves them as they were."""
    with _new_column() as last:
        calm = _writing(lambda: time.sleep(5))
        begun = Event()
        count = Thread(target=_count, args=(begun,))
        count.start()
        begun.wait()
        waits = _writing(lambda: call_command("migrate", verbosity=0))
        count.join()
        back = seconds(lambda: call_command("migrate", APP, last, verbosity=0))
    return {
        "write_longest_ms": 1000 * max(calm),
        "migration_write_longest_ms": 1000 * max(waits),
        "migration_writes": len(waits),
        "migration_back_s": back,
    }


def _writing(act: Callable[[], object]) -> list[float]:
    """How long each of the writers' updates took while this was done, in seconds."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT min(id), max(id) FROM registrations_registrant")
        first, last = cursor.fetchone()
    stop, waits = Event(), list[float]()
    writers = [Thread(target=_write, args=(stop, waits, first, last)) for _ in range(WRITERS)]
    for writer in writers:
        writer.start()
    try:
        act()
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    return waits


def _write(stop: Event, waits: list[float], first: int, last: int) -> None:
    with closing(psycopg2.connect(**connection.get_connection_params())) as database, database.cursor() as cursor:
        database.autocommit = True
        while not stop.is_set():
            start = time.perf_counter()
            cursor.execute(
                "UPDATE registrations_registrant SET revision = revision WHERE id = %s", [random.randint(first, last)]
            )
            waits.append(time.perf_counter() - start)


def _count(begun: Event) -> None:
    with closing(psycopg2.connect(**connection.get_connection_params())) as database, database.cursor() as cursor:
        cursor.execute("SELECT 1 FROM registrations_registrant LIMIT 1")
        begun.set()
        cursor.execute("SELECT count(*) FROM registrations_registrant")
        cursor.execute("SELECT pg_sleep(%s)", [COUNTING])


@contextmanager
def _new_column() -> Iterator[str]:
    """A migration of the project's own that adds a column; the name of the one before."""
    original = Path(settings.BASE_DIR, APP, "migrations")
    last = max(file.stem for file in original.glob("0*.py"))
    with tempfile.TemporaryDirectory(prefix="prakerja-migration-") as folder:
        package = Path(folder) / "tried_out"
        package.mkdir()
        for file in original.glob("*.py"):
            (package / file.name).write_text(file.read_text())
        (package / "9999_tried_out.py").write_text(MIGRATION.format(app=APP, last=last))
        sys.path.insert(0, folder)
        try:
            with override_settings(MIGRATION_MODULES={APP: "tried_out"}):
                yield last
        finally:
            sys.path.remove(folder)
