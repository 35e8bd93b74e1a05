"""A change to a table in use: nobody who writes waits for more than a second or so."""

import sys
import time
from contextlib import closing
from pathlib import Path
from threading import Event, Thread

import psycopg2
import pytest
from django.core.management import call_command
from django.db import connection

from tests.people import make_registrants

pytestmark = pytest.mark.django_db(transaction=True)

MIGRATION = """
from django.db import migrations, models

class Migration(migrations.Migration):
    dependencies = [("verification", "%s")]
    operations = [migrations.RunSQL(
        "ALTER TABLE registrations_registrant ADD COLUMN tried_out smallint",
        "ALTER TABLE registrations_registrant DROP COLUMN tried_out",
    )]
"""


def connect():
    return psycopg2.connect(**connection.get_connection_params())


def write_until(stop: Event, waits: list[float]) -> None:
    """Update everybody over and over, and note how long each update took."""
    with closing(connect()) as database, database.cursor() as cursor:
        database.autocommit = True
        while not stop.is_set():
            start = time.monotonic()
            cursor.execute("UPDATE registrations_registrant SET revision = revision + 1")
            waits.append(time.monotonic() - start)


def count_for(seconds: float, begun: Event) -> None:
    """A long count: it has the table in use, as all who read it do."""
    with connect() as database, database.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM registrations_registrant")
        begun.set()
        cursor.execute("SELECT pg_sleep(%s)", [seconds])


@pytest.fixture
def new_column(tmp_path, settings):
    """A migration of the project's own that adds a column to the registrants; undone at the end."""
    package = tmp_path / "tried_out"
    package.mkdir()
    original = Path("verification/migrations")
    for file in original.glob("*.py"):
        (package / file.name).write_text(file.read_text())
    last = max(file.stem for file in original.glob("0*.py"))
    (package / "9999_tried_out.py").write_text(MIGRATION % last)
    sys.path.insert(0, str(tmp_path))
    settings.MIGRATION_MODULES = {"verification": "tried_out"}
    yield
    call_command("migrate", "verification", last, verbosity=0)
    sys.path.remove(str(tmp_path))


def test_a_new_column_lets_nobody_who_writes_wait_for_more_than_a_second_behind_a_long_count(new_column):
    make_registrants(2000)
    stop, begun, waits = Event(), Event(), []
    threads = [
        Thread(target=write_until, args=(stop, waits), daemon=True),
        Thread(target=count_for, args=(4, begun), daemon=True),
    ]
    for thread in threads:
        thread.start()
    begun.wait(10)

    start = time.monotonic()
    try:
        call_command("migrate", verbosity=0)
    finally:
        took = time.monotonic() - start
        stop.set()
        for thread in threads:
            thread.join(10)

    assert took > 2, "it came behind the count"
    assert max(waits) < 1.6, "a second for the lock, and an update's own time on a busy machine"
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(tried_out) FROM registrations_registrant")
