"""The cast of the waves' tests: verified people, a wave that is over, a draw at each of its steps."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import connection, transaction

from foundation.email import MockEmail
from foundation.sms import MockSms
from registrations.models import NikOwner, Registrant, Wave
from registrations.stages import Stage
from tests.people import START, make_registrants
from tests.processes import wait_until
from waves import draw as drawing
from waves import joining, naming, notices, programme, screening
from waves.models import Draw, Plan
from waves.randomness import MockBeacon

OPENS, CLOSES = START - timedelta(days=1), START + timedelta(days=5)
AFTER = CLOSES + timedelta(hours=1)
BEACON = MockBeacon()


def make_wave(number: int = 1, *, quota: int = 10, rule_set: str = "2020-04", rooms: Sequence[dict[str, Any]] = ()) -> Wave:
    """A wave of April 2020 with its plan; its window is long over."""
    programme.load_rule_sets()
    wave, _ = Wave.objects.update_or_create(
        number=number,
        defaults={
            "opens_at": OPENS + timedelta(days=7 * (number - 1)),
            "closes_at": CLOSES + timedelta(days=7 * (number - 1)),
            "quota": quota,
        },
    )
    Plan.objects.update_or_create(wave=wave, defaults={"rule_set_id": rule_set, "rooms": list(rooms)})
    return wave


def make_applicants(wave: Wave, count: int, **options: Any) -> list[int]:
    """So many verified people who have joined the wave while it was open; their ids."""
    ids = make_registrants(count, stage=Stage.PHONE_VERIFIED, **options)
    joined = joining.join(wave.number, ids, at=[(wave.closes_at or CLOSES) - timedelta(hours=1)] * count)
    assert set(joined) == {joining.Outcome.JOINED}
    return ids


def make_frozen(count: int = 30, **options: Any) -> Draw:
    wave = make_wave(**options)
    make_applicants(wave, count)
    screening.screen(wave, at=AFTER)
    return drawing.freeze(wave, at=AFTER)


def make_committed(count: int = 30, **options: Any) -> Draw:
    frozen = make_frozen(count, **options)
    drawing.commit(frozen, chain=BEACON.chain, round=BEACON.chain.first_after(AFTER), at=AFTER)
    return frozen


def make_drawn(count: int = 30, **options: Any) -> Draw:
    committed = make_committed(count, **options)
    run(committed)
    return committed


def run(draw: Draw) -> None:
    drawing.run(draw, signature=BEACON.signature(draw.round or 0) or b"", at=AFTER + timedelta(hours=1))


def make_published(count: int = 30, **options: Any) -> Draw:
    drawn = make_drawn(count, **options)
    drawing.publish(drawn, at=AFTER + timedelta(hours=2))
    return drawn


def make_staff(name: str) -> User:
    return User.objects.create_user(name, is_staff=True)


def share_household(ids: Sequence[int]) -> None:
    """These people are of one family card."""
    household = NikOwner.objects.get(registrant_id=ids[0]).household
    NikOwner.objects.filter(registrant_id__in=ids).update(household=household)


def registrant(id: int) -> Registrant:
    return Registrant.objects.get(pk=id)


#: When the decree is issued and the result announced: 14 April 2020.
TOLD = AFTER + timedelta(hours=3)


def make_announced(count: int = 30, **options: Any) -> Draw:
    """A wave whose result is known: recipients have days to buy a training."""
    draw = make_published(count, **options)
    naming.issue(draw, by="Denni", at=TOLD)
    naming.announce(draw, at=TOLD)
    draw.refresh_from_db()
    return draw


def draw_and_announce(wave: Wave) -> Draw:
    """All steps of a wave that is over, from the screening to the announcement."""
    screening.screen(wave, at=AFTER)
    draw = drawing.freeze(wave, at=AFTER)
    drawing.commit(draw, chain=BEACON.chain, round=BEACON.chain.first_after(AFTER), at=AFTER)
    run(draw)
    drawing.publish(draw, at=AFTER + timedelta(hours=2))
    naming.issue(draw, by="Denni", at=TOLD)
    naming.announce(draw, at=TOLD)
    draw.refresh_from_db()
    return draw


@contextmanager
def by_force() -> Iterator[None]:
    """As a superuser may who switches the triggers off: nobody else gets at a decree that was issued."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        yield
        cursor.execute("SET LOCAL session_replication_role = origin")


def put_the_databases_clock_on(by: timedelta) -> None:
    """For the rest of the transaction, the database's clock is so much ahead of the application's."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA skewed")
        for clock in ("now", "statement_timestamp", "clock_timestamp"):
            cursor.execute(
                f"""
                CREATE FUNCTION skewed.{clock}() RETURNS timestamptz LANGUAGE sql
                RETURN pg_catalog.{clock}() + make_interval(secs => {by.total_seconds()})
                """
            )
        cursor.execute("SET LOCAL search_path = skewed, public, pg_catalog")


class Other:
    """Somebody who works beside us, and what came of it."""

    waited: bool
    outcome: Any = None
    error: Exception | None = None


def waits_for_us() -> bool:
    """Whether somebody waits for what our transaction holds."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid)))"
        )
        return bool(cursor.fetchone()[0])


@contextmanager
def at_the_same_time(work: Callable[[], Any]) -> Iterator[Other]:
    """Somebody else begins with `work` when this block is done and not committed yet, and ends after that."""
    other = Other()

    def run() -> None:
        try:
            other.outcome = work()
        except Exception as error:
            other.error = error
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        yield other
        thread = pool.submit(run)
        wait_until(lambda: thread.done() or waits_for_us(), seconds=30, what="the other one waits, or is done")
        other.waited = not thread.done()


class Postbox:
    """Takes mails and SMS as the mocks deliver them."""

    def __init__(self) -> None:
        self.mails: list[Any] = []
        self.texts: list[Any] = []
        self.email = MockEmail(deliver_to=lambda _, mails: self.mails.extend(mails))
        self.sms = MockSms(deliver_to=lambda _, texts: self.texts.extend(texts))

    def empty(self) -> None:
        """Send all that waits."""
        while notices.send_emails(email=self.email, size=1000) + notices.send_texts(sms=self.sms, size=1000):
            pass
