"""The situations in which a partner may want to find people, and how they get there: by the acts of all whose turn it is."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from functools import partial
from typing import Any, NamedTuple

from django.contrib.auth.models import User

from foundation import services
from incentives import batching, checking, linking, obligations, results, sending
from incentives.checking import Told
from incentives.models import Account, Batch, Payout, number
from incentives.payers import PAYERS, service
from incentives.payout import Order, fate_of, verdict_on
from incentives.results import Result
from partners.models import Partner
from partners.problems import Problem
from prakerja import deeds
from prakerja.batch_pages import about
from prakerja.sandbox import people
from prakerja.sandbox.people import Card, MadeUp
from trainings import cancelling, completing, purchasing, redeeming, reviewing
from trainings.completing import Certificate, Completion
from trainings.models import Training
from trainings.purchasing import Outcome as Bought
from trainings.reviewing import Opinion


class Made(NamedTuple):
    """What a partner is told of one person; none: it is no part of the situation."""

    #: With which a platform sells to them.
    card: str | None = None
    #: The training's code, and what was bought of it.
    training: str | None = None
    purchase: int | None = None
    reference: str | None = None
    redeem_code: str | None = None
    #: As the payer is asked about the account, and its number.
    account: str | None = None
    account_number: str | None = None
    #: The payout's reference, and its batch.
    payout: str | None = None
    batch: int | None = None


Make = Callable[[Partner, int, datetime], list[Made]]


class Part(StrEnum):
    """For whom a situation is."""

    PLATFORM = "platform"
    #: Platforms and providers.
    TRAININGS = "trainings"
    PAYER = "payer"


class Situation(NamedTuple):
    part: Part
    about: str
    #: What the partner may call then.
    call: str
    #: The problem that it is answered, or that its row is; none: it is done.
    problem: str | None
    #: What stands in the answer, or what is true of the account.
    state: str | None
    make: Make


def of(partner: Partner) -> dict[str, Situation]:
    """Those of the partner's parts, by name."""
    mine = {
        Part.PLATFORM: partner.is_platform,
        Part.TRAININGS: partner.is_platform or partner.is_provider,
        Part.PAYER: partner.is_payer and partner.code in PAYERS,
    }
    return {name: situation for name, situation in SITUATIONS.items() if mine[situation.part]}


# Trainings -------------------------------------------------------------------------------------------------------------

#: Who sells what a provider gives, and gives what a platform sells.
PLATFORM, PROVIDER = "sandbox-platform", "sandbox-provider"
#: What is bought; never on sale again; without a seat left.
ON_SALE, CLOSED, FULL = "SANDBOX", "SANDBOX-CLOSED", "SANDBOX-FULL"
#: What those of a payer have completed: no partner is called so.
FOR_PAYERS = "SANDBOX.PAYERS"
PRICE = 400_000
SCORE = 90


class _Shelf(NamedTuple):
    """Where a training is sold."""

    platform: str
    provider: str
    training: str


def _shelf(partner: Partner, training: str = ON_SALE) -> _Shelf:
    """Of a platform, its own; of a provider, what `sandbox-platform` sells of it; of a payer, what is nobody's else."""
    provider = partner.code if partner.is_provider else PROVIDER
    if partner.is_platform:
        return _Shelf(partner.code, provider, training)
    return _Shelf(PLATFORM, provider, partner.code if partner.is_provider else FOR_PAYERS)


def _put_out(shelf: _Shelf, at: datetime) -> None:
    """Have the training there; one that the partner has changed is as it was again."""
    Partner.objects.get_or_create(code=PLATFORM, defaults={"name": "Sandbox (platform)", "is_platform": True})
    Partner.objects.get_or_create(code=PROVIDER, defaults={"name": "Sandbox (provider)", "is_provider": True})
    day = timedelta(days=1)
    standard: dict[str, Any] = {
        "price": PRICE,
        "valid_from": at - 365 * day,
        "valid_until": at - day if shelf.training == CLOSED else at + 3650 * day,
    }
    training, is_new = Training.objects.get_or_create(
        platform_id=shelf.platform,
        code=shelf.training,
        defaults=standard
        | {
            "provider_id": shelf.provider,
            "title": f"Pelatihan sandbox {shelf.training}",
            "mode": Training.Mode.WEBINAR,
            "schedule_code": "SBX",
            "schedule": "Senin-Jumat 19.00-21.00 WIB",
            "seats": 0 if shelf.training == FULL else None,
            "sources": "made up, for the sandbox",
        },
    )
    if not is_new:
        changed = standard | ({"seats": training.taken} if training.seats is not None else {})
        Training.objects.filter(pk=training.pk).update(**changed)


class Step(IntEnum):
    """How far a purchase gets."""

    ISSUED = 1
    REDEEMED = 2
    ATTENDING = 3
    COMPLETED = 4
    CERTIFIED = 5
    REVIEWED = 6
    CANCELLED = 7


def _buyers(
    partner: Partner, count: int, at: datetime, *, card: Card, training: str = ON_SALE, spent: int = 0
) -> list[Made]:
    """People with a card; `spent`: so many trainings have been bought with it."""
    shelf = _shelf(partner, training)
    _put_out(shelf, at)
    made = people.make(count, at=at, card=card)
    for nth in range(1, spent + 1):
        _buy(shelf, made, at, nth)
    return [Made(card=one.card, training=shelf.training) for one in made]


def _purchases(partner: Partner, count: int, at: datetime, *, upto: Step) -> list[Made]:
    shelf = _shelf(partner)
    _put_out(shelf, at)
    made = people.make(count, at=at)
    # A card is for selling: providers do not know it.
    shown = [one.card if partner.is_platform else None for one in made]
    return [
        Made(card=card, **bought._asdict()) for card, bought in zip(shown, _brought(shelf, made, at, upto=upto), strict=True)
    ]


class _Purchase(NamedTuple):
    training: str
    purchase: int
    reference: str
    redeem_code: str


def _brought(shelf: _Shelf, made: Sequence[MadeUp], at: datetime, *, upto: Step) -> list[_Purchase]:
    """These people have bought a training, and are so far with it."""
    bought = _buy(shelf, made, at, 1)
    codes = [one.redeem_code for one in bought]
    if upto is Step.CANCELLED:
        gone = cancelling.cancel([cancelling.Cancellation(code, at) for code in codes], platform=shelf.platform)
        _must(gone, cancelling.Outcome.CANCELLED)
        return bought
    if upto >= Step.REDEEMED:
        sequence = 1 if upto >= Step.ATTENDING else None
        used = redeeming.commit([redeeming.Use(code, at, sequence) for code in codes], partner=shelf.provider)
        _must(used, redeeming.Outcome.COMMITTED)
    if upto >= Step.COMPLETED:
        done = [Completion(code, at, SCORE, _certificate(code) if upto >= Step.CERTIFIED else None) for code in codes]
        _must(completing.complete(done, partner=shelf.provider, now=at), completing.Outcome.COMPLETED)
    if upto >= Step.REVIEWED:
        opinions = [Opinion(one.id, each.purchase, 5, "Sangat berguna.", at) for one, each in zip(made, bought, strict=True)]
        _must(reviewing.review(opinions), reviewing.Outcome.REVIEWED)
    return bought


def _buy(shelf: _Shelf, made: Sequence[MadeUp], at: datetime, nth: int) -> list[_Purchase]:
    orders = [purchasing.Order(one.id, shelf.training, f"SANDBOX/{one.id}/{nth}", at) for one in made]
    found = purchasing.buy(orders, platform=shelf.platform)
    _must((result.outcome for result in found), Bought.BOUGHT)
    return [
        _Purchase(shelf.training, result.purchase_id or 0, order.reference, result.redeem_code)
        for order, result in zip(orders, found, strict=True)
    ]


def _certificate(code: str) -> Certificate:
    return Certificate(f"SANDBOX/{code}", hashlib.sha256(code.encode()).digest())


def _must(outcomes: Iterable[object], wanted: object) -> None:
    """Whoever was made up a moment ago is in nobody's way: anything else is a mistake of ours."""
    if other := set(outcomes) - {wanted}:
        raise RuntimeError(f"made-up people: {sorted(map(str, other))}")


# Accounts and payouts --------------------------------------------------------------------------------------------------

#: The office's two: nobody signs in as one of them.
MAKER, CHECKER = "sandbox-maker", "sandbox-checker"
HELD_BACK = "held back, for the sandbox"


class _Owed(NamedTuple):
    """Somebody who lacks nothing but the money, or a fit account."""

    id: int
    account: int
    number: str


def _owed(partner: Partner, count: int, at: datetime, *, special: int, told: bool = True) -> list[_Owed]:
    """People with a training completed, certified and reviewed, and with an account whose number has these magic digits.

    `told`: the payer has said how the account is, as the mock would.
    """
    shelf = _Shelf(PLATFORM, PROVIDER, FOR_PAYERS)
    _put_out(shelf, at)
    made = people.make(count, at=at)
    _brought(shelf, made, at, upto=Step.REVIEWED)
    obligations.open_for({one.id: at for one in made}, at=at)
    numbers = [_account_number(partner.code, special, one) for one in made]
    links = [linking.Link(one.id, partner.code, number, at) for one, number in zip(made, numbers, strict=True)]
    outcomes = linking.link(links)
    if linking.Outcome.TAKEN in outcomes:
        raise Problem(
            "try-again", 409, "These account numbers are others' already: the next ones will be free.", transient=True
        )
    _must(outcomes, linking.Outcome.LINKED)
    found = Account.objects.filter(registrant_id__in=[one.id for one in made], ended_at=None)
    accounts = dict(found.values_list("registrant_id", "pk"))
    if told:
        said = [
            Told(str(accounts[one.id]), verdict_on(number, one.phone)) for one, number in zip(made, numbers, strict=True)
        ]
        _must(checking.told(said, payer=partner.code, at=at), checking.Heard.NOTED)
    return [_Owed(one.id, accounts[one.id], number) for one, number in zip(made, numbers, strict=True)]


def _account_number(payer: str, special: int, one: MadeUp) -> str:
    """A magic number (docs/mocks.md); of a wallet without anything special, the person's own phone."""
    form = PAYERS[payer]
    if form.is_wallet and not special:
        return "0" + one.phone.removeprefix("+62")
    head = f"{'08' if form.is_wallet else ''}99{special:02}"
    rest = form.digits[1] - len(head)
    return f"{head}{one.id % 10**rest:0{rest}}"


def _accounts(partner: Partner, count: int, at: datetime, *, special: int = 0, told: bool = True) -> list[Made]:
    owed = _owed(partner, count, at, special=special, told=told)
    return [Made(account=str(one.account), account_number=one.number) for one in owed]


def _payouts(partner: Partner, count: int, at: datetime, *, special: int = 0, held_back: bool = False) -> list[Made]:
    """The first month's incentive of these people, approved and, unless it is held back, sent."""
    owed = _owed(partner, count, at, special=special)
    batch = _approved(partner.code, owed, at)
    if held_back:
        batching.stop([batch.pk], why=HELD_BACK)
    else:
        _send(batch, at)
    references = [f"{number(one.id, 1)}-1" for one in owed]
    _, then = fate_of(Order(references[0], owed[0].number, "", batch.rupiah))
    if then.is_reversed and not _waits(batch):
        results.apply([Result(reference, then) for reference in references], payer=partner.code, at=at)
    return [
        Made(account=str(one.account), account_number=one.number, payout=reference, batch=batch.pk)
        for one, reference in zip(owed, references, strict=True)
    ]


def _approved(payer: str, owed: Sequence[_Owed], at: datetime) -> Batch:
    maker, checker = (
        User.objects.get_or_create(username=name, defaults={"is_active": False})[0] for name in (MAKER, CHECKER)
    )
    batch = batching.propose(payer, by=maker, at=at, of=[one.id for one in owed])
    deeds.note(deeds.Name.BATCH_PROPOSED, about(batch.pk), by=maker)
    sha256 = bytes(batch.sha256).hex()
    batching.approve(batch, by=checker, sha256=sha256, at=at)
    deeds.note(deeds.Name.BATCH_APPROVED, about(batch.pk), by=checker, told=sha256)
    return batch


def _send(batch: Batch, at: datetime) -> None:
    """Have it sent now, with what may wait before it. A payer that is not a mock here is asked by workers, as always."""
    payer = services.get(service(batch.payer))
    while (
        getattr(payer, "mock", False)
        and _waits(batch)
        and sending.send_batch(batch.payer, payer=payer, size=batching.BLOCK, clock=lambda: at)
    ):
        pass


def _waits(batch: Batch) -> bool:
    return Payout.objects.filter(batch_id=batch.pk, state=Payout.State.APPROVED).exists()


# All of them -----------------------------------------------------------------------------------------------------------


def _sale(about: str, problem: str | None, card: Card = Card.GOOD, **options: Any) -> Situation:
    return Situation(Part.PLATFORM, about, "POST /api/v1/purchases/", problem, None, partial(_buyers, card=card, **options))


def _training(about: str, call: str, upto: Step, state: str, problem: str | None = None) -> Situation:
    return Situation(Part.TRAININGS, about, call, problem, state, partial(_purchases, upto=upto))


def _account(about: str, state: str | None, **options: Any) -> Situation:
    return Situation(Part.PAYER, about, "POST /api/v1/account-checks/", None, state, partial(_accounts, **options))


def _payout(about: str, state: str, **options: Any) -> Situation:
    return Situation(Part.PAYER, about, "GET /api/v1/payouts/{reference}/", None, state, partial(_payouts, **options))


_ATTEND, _COMPLETE, _CERTIFY = "POST /api/v1/attendances/", "POST /api/v1/completions/", "POST /api/v1/certificates/"
_LATER = "once it is asked for again, after a minute"

SITUATIONS: Mapping[str, Situation] = {
    "buyer": _sale("A recipient with the whole balance of Rp1.000.000.", None),
    "balance_too_low": _sale(
        f"A recipient with Rp200.000 left, after two purchases; {ON_SALE} costs Rp400.000.", "balance-too-low", spent=2
    ),
    "revoked": _sale("A recipient who has bought nothing in time, and was revoked.", "recipient-ended", Card.REVOKED),
    "too_late": _sale(
        "A recipient whose days to buy a first training are over, and who is not revoked.", "too-late", Card.TOO_LATE
    ),
    "balance_expired": _sale(
        "A recipient of a year whose balance is not to be spent any more.", "balance-expired", Card.EXPIRED
    ),
    "not_on_sale": _sale(f"A recipient, and {CLOSED}, which is not sold any more.", "not-on-sale", training=CLOSED),
    "sold_out": _sale(f"A recipient, and {FULL}, which has no seat left.", "sold-out", training=FULL),
    "issued": _training("A training that was bought; its code was not used yet.", _ATTEND, Step.ISSUED, "issued"),
    "redeemed": _training("A training whose code was used.", _COMPLETE, Step.REDEEMED, "redeemed"),
    "attending": _training("A training of which meeting 1 was attended.", _COMPLETE, Step.ATTENDING, "attending"),
    "completed": _training(
        "A training that was completed; its certificate is missing.", _CERTIFY, Step.COMPLETED, "completed"
    ),
    "certified": _training(
        "A training that was completed, with its certificate.", _CERTIFY, Step.CERTIFIED, "completed", "another-certificate"
    ),
    "reviewed": _training(
        "A training that was completed, certified, rated and reviewed.", "GET /api/v1/reviews/", Step.REVIEWED, "completed"
    ),
    "cancelled": _training("A training that was cancelled.", _ATTEND, Step.CANCELLED, "cancelled", "purchase-cancelled"),
    "account_unchecked": _account(
        "An account of which nothing was said yet, and the mock says nothing.", None, special=16, told=False
    ),
    "account_fit": _account("An account that is fit to be paid into.", "fit"),
    "account_of_another": _account("An account of another NIK.", "of_another", special=11),
    "account_inactive": _account("An account that is inactive.", "inactive", special=12),
    "account_not_upgraded": _account("An account that is not upgraded.", "not_upgraded", special=13),
    "account_phone_differs": _account("An account with another phone.", "phone_differs", special=14),
    "account_full": _account("An account that cannot hold the amount.", "full", special=15),
    "payout_waiting": _payout("A payout that is approved; sending is held back.", "approved", held_back=True),
    "payout_sent": _payout("A payout that you have and have not decided: report its result.", "sending", special=34),
    "payout_unknown": _payout(
        "A payout of which you have said nothing in due form: report its result.", "unknown", special=35
    ),
    "payout_sent_then_paid": _payout(f"A payout that is not decided yet, and paid {_LATER}.", "sending", special=21),
    "payout_sent_then_failed": _payout(f"A payout that is not decided yet, and fails {_LATER}.", "sending", special=33),
    "payout_unknown_then_paid": _payout(
        "A payout of which nothing was said, and that was paid: known when it is asked for, in a moment.",
        "unknown",
        special=22,
    ),
    "payout_paid": _payout("A payout that was paid.", "paid"),
    "payout_failed": _payout("A payout that failed; no cause was told.", "failed", special=26),
    "payout_failed_of_another": _payout("A payout that failed: the account is another NIK's.", "failed", special=27),
    "payout_failed_inactive": _payout("A payout that failed: the account is inactive.", "failed", special=23),
    "payout_failed_not_upgraded": _payout("A payout that failed: the account is not upgraded.", "failed", special=25),
    "payout_failed_phone_differs": _payout("A payout that failed: the account has another phone.", "failed", special=28),
    "payout_failed_full": _payout("A payout that failed: the account cannot hold it.", "failed", special=24),
    "payout_reversed": _payout("A payout that was paid and given back; no cause was told.", "reversed", special=32),
    "payout_reversed_of_another": _payout(
        "A payout that was paid and given back: the account is another NIK's.", "reversed", special=36
    ),
    "payout_reversed_inactive": _payout(
        "A payout that was paid and given back: the account is inactive.", "reversed", special=31
    ),
    "payout_reversed_not_upgraded": _payout(
        "A payout that was paid and given back: the account is not upgraded.", "reversed", special=37
    ),
    "payout_reversed_phone_differs": _payout(
        "A payout that was paid and given back: the account has another phone.", "reversed", special=38
    ),
    "payout_reversed_full": _payout(
        "A payout that was paid and given back: the account cannot hold it.", "reversed", special=39
    ),
}


def bring_about(name: str, partner: Partner, count: int, at: datetime) -> list[Made]:
    """Make so many people up, all in this situation of the partner's. In a transaction.

    Raises `Problem` when it is none of its parts', or when numbers are used up.
    """
    situation = of(partner).get(name)
    if situation is None:
        raise Problem("not-your-part", 422, "This situation is not one of your part in the programme.")
    return situation.make(partner, count, at)
