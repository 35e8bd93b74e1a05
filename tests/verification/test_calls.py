"""How services are called: with no transaction open, and by all workers together within the quota and at the time they named."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from typing import Any

import pytest
from django.db import close_old_connections, connection

from foundation import outbox
from foundation.email import Mail, MockEmail
from foundation.models import ServiceState
from foundation.services import Unavailable
from foundation.sms import MockSms
from foundation.work import enqueue, outstanding
from registrations.models import Registrant
from registrations.stages import DropOff, Stage
from tests.foundation.test_failover import failover, later
from tests.people import make_registrants
from tests.processes import wait_until
from verification import identity, links, phone
from verification.dukcapil import Identity, MockDukcapil, Verdict

pytestmark = pytest.mark.django_db(transaction=True)

WORKERS = 8


class Witness:
    """A service that looks, from a session of its own, at what its caller's is doing, and then answers."""

    def __init__(self, answer: Callable[[Sequence[Any]], list[Any]]) -> None:
        self.answer = answer
        self.seen: list[tuple[bool, str, bool]] = []

    def __call__(self, records: Sequence[Any]) -> list[Any]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            [caller] = cursor.fetchone()
        outside = connection.copy()
        try:
            with outside.cursor() as cursor:
                cursor.execute("SELECT state, xact_start IS NULL FROM pg_stat_activity WHERE pid = %s", [caller])
                self.seen.append((connection.in_atomic_block, *cursor.fetchone()))
        finally:
            outside.close()
        return self.answer(records)

    match = send = __call__


def refuse(records: Sequence[Any]) -> list[Any]:
    raise Unavailable("status 503", untouched=True)


def mail_links(email: Witness) -> int:
    make_registrants(3)
    return links.send_batch(email=email, size=9)


def ask_dukcapil(dukcapil: Witness) -> int:
    enqueue("identity", make_registrants(3, stage=Stage.EMAIL_VERIFIED))
    return identity.check_batch(dukcapil=dukcapil, size=9)


def send_codes(sms: Any) -> int:
    enqueue("phone", make_registrants(3, stage=Stage.IDENTITY_VERIFIED))
    return phone.send_batch(sms=sms, size=9)


def send_codes_by_another(sms: Witness) -> int:
    ill = Witness(refuse)
    in_hand = send_codes(failover(ill, sms))
    sms.seen += ill.seen
    assert len(sms.seen) == 2
    return in_hand


def mail_what_was_posted(email: Witness) -> int:
    for number in range(3):
        outbox.post(Mail(str(number), "siti@surel.example", "Kartu Prakerja", "..."))
    return outbox.send_batch(email=email, size=9)


@pytest.mark.parametrize("trouble", [False, True], ids=["well", "in trouble"])
@pytest.mark.parametrize(
    ("ask", "answer"),
    [
        (mail_links, MockEmail(deliver=False).send),
        (ask_dukcapil, MockDukcapil().match),
        (send_codes, MockSms(deliver=False).send),
        (send_codes_by_another, MockSms(deliver=False).send),
        (mail_what_was_posted, MockEmail(deliver=False).send),
    ],
)
def test_no_transaction_is_open_while_a_service_is_called(ask, answer, trouble):
    service = Witness(refuse if trouble else answer)

    in_hand = ask(service)

    assert in_hand == 3
    assert set(service.seen) == {(False, "idle", True)}


class Registry:
    """A Dukcapil that counts about how many it is asked, and answers when `before` lets it."""

    def __init__(self, before: Callable[[], None] = lambda: None) -> None:
        self.asked: list[int] = []
        self.before = before

    def match(self, identities: Sequence[Identity]) -> list[Verdict]:
        self.asked.append(len(identities))
        self.before()
        return MockDukcapil().match(identities)


@pytest.fixture
def workers() -> Iterator[Callable[..., None]]:
    """Have each worker, in a thread and with a connection of its own, do something with its number."""

    def run(act: Callable[[int], object], *, meanwhile: Callable[[], object] = lambda: None) -> None:
        def one(number: int) -> None:
            try:
                act(number)
            finally:
                connection.close()

        with ThreadPoolExecutor(WORKERS) as pool:
            done = [pool.submit(one, number) for number in range(WORKERS)]
            meanwhile()
            for worker in done:
                worker.result()

    yield run
    close_old_connections()


def who_wait_for_a_lock() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return int(cursor.fetchone()[0])


def test_workers_side_by_side_ask_no_more_than_the_quota(settings, workers):
    """All take from it at the same moment, each of them as much as there is; and then once more."""
    rate = 5
    settings.SERVICES = settings.SERVICES | {"dukcapil": settings.SERVICES["dukcapil"] | {"RATE": rate}}
    ServiceState.objects.create(name="dukcapil", tokens=rate)
    for id in make_registrants(100, stage=Stage.EMAIL_VERIFIED):
        enqueue("identity", [id], hint=False)
    registry = Registry()
    holder = connection.copy()
    with holder.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT FROM foundation_servicestate FOR UPDATE")

    def all_at_once() -> None:
        try:
            wait_until(lambda: who_wait_for_a_lock() == WORKERS, seconds=30, what="all want to take from the quota")
        finally:
            holder.close()

    began = time.monotonic()
    workers(lambda _: [identity.check_batch(dukcapil=registry, size=rate) for _ in range(2)], meanwhile=all_at_once)
    lasted = time.monotonic() - began

    assert 0 < sum(registry.asked) <= rate * (1 + lasted)
    assert outstanding(["identity"]) == 100 - sum(registry.asked), "there was more to ask about"


def test_a_time_to_wait_that_one_worker_hears_of_binds_all(workers):
    """The others have calls out at that moment, of which some are answered, some not; then nobody calls until it is over."""
    people = iter(make_registrants(60, stage=Stage.EMAIL_VERIFIED))
    for pair in zip(people, people, strict=True):
        enqueue("identity", pair, hint=False)
    all_out, heard = Barrier(WORKERS), Event()

    def refuse_one(number: int) -> Callable[[], None]:
        def before() -> None:
            all_out.wait(30)
            if number == 0:
                raise Unavailable("status 429", retry_after=1800)
            heard.wait(30)
            if number % 2:
                raise Unavailable("status 429", retry_after=1) if number % 4 == 1 else Unavailable("status 500")

        return before

    def check(number: int) -> None:
        registry = Registry(refuse_one(number))
        while not registry.asked:
            identity.check_batch(dukcapil=registry, size=2)
        if number == 0:
            heard.set()

    workers(check)
    registry = Registry()

    workers(lambda number: [identity.check_batch(dukcapil=registry, size=9) for _ in range(3)])
    assert registry.asked == [], "whoever asks"
    later(seconds=1790)
    workers(lambda number: [identity.check_batch(dukcapil=registry, size=9) for _ in range(3)])
    assert registry.asked == [], "to the end"
    later(seconds=20)
    workers(lambda number: [identity.check_batch(dukcapil=registry, size=9) for _ in range(3)])
    assert sum(registry.asked) > 9, "and then all may come"
    assert not Registrant.objects.exclude(drop_off=DropOff.NONE).exists()
