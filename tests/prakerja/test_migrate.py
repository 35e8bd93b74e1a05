"""A change to a table in use: nobody who writes waits for more than a second."""

import sys
from contextlib import closing
from io import StringIO
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
    operations = [
        migrations.RunSQL(
            "CREATE TABLE tried_out AS SELECT extract(epoch FROM current_setting('lock_timeout')::interval) AS lock_timeout",
            "DROP TABLE tried_out",
        ),
        migrations.RunSQL(
            "ALTER TABLE registrations_registrant ADD COLUMN tried_out smallint",
            "ALTER TABLE registrations_registrant DROP COLUMN tried_out",
        ),
    ]
"""


def connect():
    return psycopg2.connect(**connection.get_connection_params())


def write_until(stop: Event, written: list[int]) -> None:
    """Update everybody over and over, and count how often."""
    with closing(connect()) as database, database.cursor() as cursor:
        database.autocommit = True
        while not stop.is_set():
            cursor.execute("UPDATE registrations_registrant SET revision = revision + 1")
            written[0] += 1


def count_until(over: Event, begun: Event) -> None:
    """A long count: it has the table in use, as all who read it do."""
    with closing(connect()) as database, database.cursor() as cursor:
        cursor.execute("SET idle_in_transaction_session_timeout = 0; SELECT count(*) FROM registrations_registrant")
        begun.set()
        over.wait(60)


class Told(StringIO):
    """What `migrate` says whenever it gives a lock up; the third time the count is over."""

    def __init__(self, written: list[int], over: Event) -> None:
        super().__init__()
        self.written, self.over = written, over
        #: How many writes had gone through each time.
        self.before: list[int] = []

    def write(self, text: str) -> int:
        if "lets the others through" in text:
            self.before.append(self.written[0])
            if len(self.before) == 3:
                self.over.set()
        return super().write(text)


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
    make_registrants(100)
    stop, begun, over, written = Event(), Event(), Event(), [0]
    threads = [
        Thread(target=write_until, args=(stop, written), daemon=True),
        Thread(target=count_until, args=(over, begun), daemon=True),
    ]
    for thread in threads:
        thread.start()
    begun.wait(10)
    told = Told(written, over)

    try:
        call_command("migrate", verbosity=0, stderr=told)
    finally:
        stop.set()
        over.set()
        for thread in threads:
            thread.join(10)

    assert len(told.before) >= 3
    assert told.before == sorted(set(told.before)), "whoever writes waits for one try at most"
    with connection.cursor() as cursor:
        cursor.execute("SELECT lock_timeout, (SELECT count(tried_out) FROM registrations_registrant) FROM tried_out")
        lock_timeout, columns = cursor.fetchone()
    assert 0 < lock_timeout < 1, "and PostgreSQL ends a try before a second has passed"
    assert columns == 0, "the column is there"
