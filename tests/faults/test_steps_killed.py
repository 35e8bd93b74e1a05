"""Each step of a wave is killed just before its end, with all its work done and nothing committed: nothing has happened then,
and when it is run again, it comes to what it would have come to undisturbed.
"""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import pytest
from django.apps import apps
from django.db import connection, transaction

from foundation.models import Work
from registrations import funnel
from registrations.models import Registrant, Wave
from tests.processes import kill, running, wait_until
from tests.waves.cast import AFTER, make_announced, make_applicants, make_committed, make_published, make_staff, make_wave
from tests.waves.test_revocation import END, buy, revoke_all
from tests.waves.test_screening import put_on_list
from waves import acts, decrees, naming, revocation, screening, tasks
from waves.models import Act, Called, Decree, Draw, Ineligible, ListKind, Notice, Place, Recipient, Ticket

pytestmark = pytest.mark.django_db(transaction=True)

PEOPLE = 300
Name = Act.Name


def ask(name: Name, **details: Any) -> None:
    """Two people want it; no worker has come yet."""
    act = acts.ask(Wave.objects.get(pk=1), name, by=make_staff("ani"), **details)
    if name.takes_two:
        acts.confirm(act, by=make_staff("budi"))


def closed() -> None:
    make_applicants(make_wave(quota=50), PEOPLE)
    put_on_list(ListKind.ASN, 1, 2, 3)


def to_screen() -> None:
    closed()
    ask(Name.SCREEN)


def to_freeze() -> None:
    closed()
    screening.screen(Wave.objects.get(pk=1), at=AFTER)
    ask(Name.FREEZE)


def to_draw() -> None:
    make_committed(PEOPLE, quota=50)


def to_decree() -> None:
    make_published(PEOPLE, quota=50)
    ask(Name.DECREE, signer="Denni")


def to_announce() -> None:
    naming.issue(make_published(PEOPLE, quota=50), by="Denni", at=AFTER)
    ask(Name.ANNOUNCE)


def to_revoke() -> None:
    make_announced(PEOPLE, quota=50)
    buy(20)


def to_decree_revocation() -> None:
    to_revoke()
    revoke_all()
    ask(Name.REVOKE, signer="Denni")


def to_call_reserves() -> None:
    to_revoke()
    revoke_all()
    revocation.issue(Wave.objects.get(pk=1), by="Denni", at=END)
    ask(Name.RESERVES, seats=25, signer="Denni")


def to_correct() -> None:
    draw = make_announced(PEOPLE, quota=50)
    place = Place.objects.filter(draw_id=draw.pk).order_by("rank").first()
    assert place
    ticket = Ticket.objects.get(draw_id=draw.pk, position=place.position)
    ask(Name.CORRECT, changes=f"-; {ticket.number:015x}; an ASN since March", signer="Denni")


class Step(NamedTuple):
    prepare: Callable[[], None]
    task: str
    #: What it writes last.
    last: str


STEPS = {
    "screen": Step(to_screen, "carry_out", "waves_screening_lists"),
    "freeze": Step(to_freeze, "carry_out", "waves_draw"),
    "draw": Step(to_draw, "carry_out", "waves_draw"),
    "decree": Step(to_decree, "carry_out", "waves_decree"),
    "announce": Step(to_announce, "carry_out", "waves_decree"),
    "revoke": Step(to_revoke, "revoke", "waves_notice"),
    "decree of revocation": Step(to_decree_revocation, "carry_out", "waves_decree"),
    "reserves": Step(to_call_reserves, "carry_out", "waves_decree"),
    "correction": Step(to_correct, "carry_out", "waves_decree"),
}


def outcome() -> dict[str, Any]:
    """All that a step leaves behind, but for numbers that are random (tickets, cards) and instants."""
    return {
        "stages": sorted(Registrant.objects.values_list("pk", "stage", "drop_off", "selected_wave")),
        "ineligible": sorted(Ineligible.objects.values_list("registrant_id", "reasons")),
        "tickets": sorted(Ticket.objects.values_list("registrant_id", "room")),
        "draws": sorted(Draw.objects.values_list("attempt", "tickets", "selected"), key=str),
        "places": sorted(Place.objects.values_list("rank", "registrant_id")),
        "recipients": sorted(Recipient.objects.values_list("registrant_id", "rank", "ended_because"), key=str),
        "called": sorted(Called.objects.values_list("rank", "registrant_id", "outcome")),
        "decrees": sorted(Decree.objects.values_list("number", "kind", "names")),
        "notices": sorted(Notice.objects.values_list("kind", "people")),
        "waiting": sorted((work.queue, work.subjects) for work in Work.objects.filter(queue__startswith="notice")),
        "done": sorted(Act.objects.exclude(done_at=None).values_list("name", flat=True)),
    }


def rows() -> dict[str, int]:
    """How many rows each table of the waves has."""
    return {model._meta.db_table: model._default_manager.count() for model in apps.get_app_config("waves").get_models()}


class Undone(Exception):
    pass


def undisturbed(work: Callable[[], None]) -> dict[str, Any]:
    """What the step comes to; it is taken back again."""
    found: dict[str, Any] = {}
    with suppress(Undone), transaction.atomic():
        work()
        found = outcome()
        raise Undone
    return found


@contextmanager
def nobody_writes(table: str) -> Iterator[None]:
    """Whoever wants to write into it waits, and holds all they have done."""
    holder = connection.copy()
    try:
        with holder.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute(f"LOCK TABLE {table} IN SHARE MODE")
            yield
    finally:
        holder.close()


def somebody_waits_for(table: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE relation = %s::regclass AND NOT granted", [table])
        return bool(cursor.fetchone() == (1,))


def nobody_else_is_at_it() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
            """
        )
        return bool(cursor.fetchone() == (0,))


@pytest.mark.parametrize("name", STEPS)
def test_killed_just_before_its_end_a_step_has_not_happened_and_comes_to_the_same_when_run_again(tmp_path, name):
    step = STEPS[name]
    step.prepare()
    work = getattr(tasks, step.task)
    wanted, before, rows_before = undisturbed(work), outcome(), rows()
    code = f"import django; django.setup(); from waves import tasks; tasks.{step.task}()"

    with nobody_writes(step.last), running("-c", code, log=tmp_path / "log") as process:
        wait_until(lambda: somebody_waits_for(step.last), seconds=60, what="it has come to its last statement")
        kill(process)
        assert process.returncode == -signal.SIGKILL
    wait_until(nobody_else_is_at_it, seconds=30, what="PostgreSQL has noticed")

    assert (outcome(), rows()) == (before, rows_before), "nothing half done"
    started = time.monotonic()
    work()
    assert outcome() == wanted != before
    assert time.monotonic() - started < 30, "nothing that was left behind is waited for"
    assert all(decrees.faults(decree) == [] for decree in Decree.objects.all())
    assert funnel.recount().differences == []
    work()
    assert outcome() == wanted, "and it happens once"
