"""The cast of the trainings' tests: partners, trainings, recipients with a card, and how far they get."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier
from typing import Any

from django.db import connection
from django.utils import timezone

from registrations import ladder
from registrations.models import Wave
from registrations.regions import WIB
from registrations.stages import Stage
from tests.partners.cast import make_partner
from tests.people import make_registrants
from tests.waves.cast import TOLD, by_force, make_announced
from trainings import cancelling, completing, purchasing, redeeming, reviewing
from trainings.completing import Certificate, Completion
from trainings.models import Purchase, Training
from trainings.purchasing import Order, Result
from waves import cards
from waves.models import Decree, Recipient

#: The day on which people buy: two days after they were told.
BUYS = TOLD + timedelta(days=2)
REDEEMS = BUYS + timedelta(days=1)
COMPLETES = BUYS + timedelta(days=10)
LATER = COMPLETES + timedelta(days=5)
#: Before this instant a first training is bought: 16 May, 23.59 in Jakarta.
END = datetime(2020, 5, 17, tzinfo=WIB)


def make_training(code: str = "TOK-1", **changes: Any) -> Training:
    """A training of the provider `nusa`, sold by `tokopedia` for Rp400.000 to as many as want it."""
    platform = make_partner(changes.pop("platform", "tokopedia"), platform=True)
    provider = make_partner(changes.pop("provider", "nusa"), platform=False, provider=True)
    found: dict[str, Any] = {
        "title": "Dasar pemasaran digital",
        "mode": Training.Mode.WEBINAR,
        "schedule_code": "J01",
        "schedule": "Senin-Jumat 19.00-21.00 WIB",
        "price": 400_000,
        "valid_from": TOLD - timedelta(days=30),
        "valid_until": TOLD + timedelta(days=365),
    }
    return Training.objects.create(platform=platform, provider=provider, code=code, **found | changes)


def make_recipients(count: int, *, first: int = 1000) -> list[int]:
    """So many recipients of one decree, on *selected*, each with a card; by a draw of two, and the others beside it."""
    decree = Decree.objects.first() or make_announced(count=4, quota=2).decrees.get()
    ids = make_registrants(count, stage=Stage.PHONE_VERIFIED, first=first)
    Recipient.objects.bulk_create(
        Recipient(registrant_id=id, card=cards.random_card(), decree_id=decree.pk, rank=0) for id in ids
    )
    assert len(ladder.select(Wave.objects.get(pk=1).pk, ids, TOLD)) == count
    return ids


def make_present(**changes: Any) -> Training:
    """A training that is on sale by today's clock, as the API goes by it; and recipients' time to buy is not over."""
    now = timezone.now()
    training = make_training(**{"valid_from": now - timedelta(days=1), "valid_until": now + timedelta(days=90)} | changes)
    make_recipients(1, first=90_000)
    with by_force():
        Decree.objects.update(year=now.year + 1, buy_by=None)
    return training


def card(id: int) -> str:
    return f"{Recipient.objects.get(pk=id).card:016}"


def order(id: int, training: str = "TOK-1", *, number: int = 1, at: datetime = BUYS, **changes: Any) -> Order:
    """An order, whose reference says whose it is and which one."""
    return Order(id, training, f"INV/{id}/{training}/{number}", at, **changes)


def buy(ids: Sequence[int], training: str = "TOK-1", *, platform: str = "tokopedia", **options: Any) -> list[Result]:
    return purchasing.buy([order(id, training, **options) for id in ids], platform=platform)


def make_buyers(count: int, *, training: str = "TOK-1", **options: Any) -> list[str]:
    """So many recipients who have bought the training; their redeem codes, in order of their ids."""
    if not Training.objects.filter(code=training).exists():
        make_training(training)
    results = buy(make_recipients(count, **options), training)
    assert {result.outcome for result in results} == {purchasing.Outcome.BOUGHT}
    return [result.redeem_code for result in results]


def redeem(codes: Sequence[str], *, at: datetime = REDEEMS, sequence: int | None = None) -> list[redeeming.Outcome]:
    return redeeming.commit([redeeming.Use(code, at, sequence) for code in codes], partner="nusa")


def certificate(code: str) -> Certificate:
    return Certificate(f"NUSA/{code}", code.encode() * 2)


def complete(
    codes: Sequence[str], *, at: datetime = COMPLETES, certified: bool = False, **changes: Any
) -> list[completing.Outcome]:
    completions = [Completion(code, at, certificate=certificate(code) if certified else None, **changes) for code in codes]
    return completing.complete(completions, partner="nusa", now=LATER)


def certify(codes: Sequence[str]) -> list[completing.Outcome]:
    return completing.certify(
        [completing.Certification(code, certificate(code)) for code in codes], partner="nusa", now=LATER
    )


def cancel(codes: Sequence[str], *, at: datetime = LATER, platform: str = "tokopedia") -> list[cancelling.Outcome]:
    return cancelling.cancel([cancelling.Cancellation(code, at) for code in codes], platform=platform)


def review(ids: Sequence[int], *, rating: int = 5, text: str = "Sangat berguna.") -> list[reviewing.Outcome]:
    """These registrants say what they think of the training that they completed first."""
    firsts = dict(Purchase.objects.filter(registrant_id__in=ids, is_first=True).values_list("registrant_id", "pk"))
    return reviewing.review([reviewing.Opinion(id, firsts[id], rating, text, LATER) for id in ids])


def make_completed(count: int, *, certified: bool = False, reviewed: bool = False, **options: Any) -> list[int]:
    """So many registrants who have completed a first training; their ids."""
    codes = make_buyers(count, **options)
    redeem(codes)
    assert set(complete(codes, certified=certified)) == {completing.Outcome.COMPLETED}
    ids = [by_code(code).registrant_id for code in codes]
    if reviewed:
        review(ids)
    return ids


def by_code(code: str) -> Purchase:
    return Purchase.objects.get(redeem_code=code)


def in_threads(count: int, act: Any) -> list[Any]:
    """Run `act(number)` in that many threads at once, each on a connection of its own: none begins before all are connected."""
    line = Barrier(count)

    def run(number: int) -> Any:
        try:
            connection.ensure_connection()
            line.wait(60)
            return act(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))
