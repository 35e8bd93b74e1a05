"""Buying: the price goes from the registrant's balance to the training's account, and a redeem code comes back."""

import re
import secrets
from base64 import b32encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from foundation.pg import array, instants, timestamptz
from partners import webhooks
from registrations import ladder
from registrations.holding import Held, hold
from registrations.models import Registrant
from registrations.stages import DropOff, Stage
from trainings import holding, terms
from trainings.literals import texts
from trainings.models import Training, Transfer

#: A platform's reference: its invoice number, in printable ASCII.
REFERENCE = re.compile(r"[!-~]{1,64}", re.ASCII)
#: Bytes of a redeem code: nobody guesses one, and no two are the same.
CODE_BYTES = 10


class Order(NamedTuple):
    registrant_id: int
    #: The platform's code of the training.
    training: str
    #: The platform's invoice: sent again, it buys nothing twice.
    reference: str
    at: datetime
    #: What the platform has shown, in rupiah; None: whatever it costs.
    price: int | None = None


class Outcome(Enum):
    BOUGHT = "bought"
    #: By this very order, before.
    ALREADY = "already"
    UNKNOWN_TRAINING = "unknown training"
    NOT_A_RECIPIENT = "not a recipient"
    #: Revoked, or removed by a correction.
    ENDED = "ended"
    #: The training is not sold at this instant.
    NOT_ON_SALE = "not on sale"
    #: A first training is bought in time, or never.
    TOO_LATE = "too late"
    BALANCE_EXPIRED = "balance expired"
    PRICE_DIFFERS = "price differs"
    BALANCE_TOO_LOW = "balance too low"
    SOLD_OUT = "sold out"
    #: The platform has used the reference for another order.
    REFERENCE_TAKEN = "reference taken"
    BAD_REFERENCE = "bad reference"


class Result(NamedTuple):
    outcome: Outcome
    #: Of what was bought, now or before.
    purchase_id: int | None = None
    redeem_code: str = ""


class _Offer(NamedTuple):
    """A training as it is now."""

    id: int
    code: str
    price: int
    valid_from: datetime
    valid_until: datetime
    is_limited: bool


class _Buyer:
    """A recipient, with what the orders before in the same call have left of them."""

    __slots__ = ("balance", "buy_by", "ended", "granted", "stage", "use_by")

    def __init__(self, standing: Held, ended: bool, buy_by: datetime | None, year: int, balance: int | None) -> None:
        self.stage = standing.stage
        self.ended = ended or standing.is_out
        self.buy_by = buy_by
        self.use_by = terms.of(year).use_by(year)
        #: What the programme grants them with the first purchase, in rupiah; 0: it has.
        self.granted = terms.of(year).balance if balance is None else 0
        self.balance = self.granted if balance is None else balance


def holders(cards: Iterable[int]) -> dict[int, int]:
    """Whose cards these are: the registrants' ids, by card number. Unknown ones are missing."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT card, registrant_id FROM waves_recipient WHERE card = ANY (%s::bigint[])", [array(cards)])
        return dict(cursor.fetchall())


def buy(
    orders: Sequence[Order], *, platform: str, random_bytes: Callable[[int], bytes] = secrets.token_bytes
) -> list[Result]:
    """Buy what is ordered of the platform's trainings; one result each, in order.

    Earlier orders come first: of several on the last rupiah, or the last seat, as many are bought as fit.
    """
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        offers = _offers(cursor, platform, {order.training for order in orders})
        standing = hold(order.registrant_id for order in orders)
        seats = holding.lock_seats(cursor, (offer.id for offer in offers.values() if offer.is_limited))
        buyers = _buyers(cursor, standing)
        before = _before(cursor, platform, (order.reference for order in orders if REFERENCE.fullmatch(order.reference)))

        outcomes: list[Outcome] = []
        wanted: dict[str, Order] = {}
        for order in orders:
            known = before.get(order.reference) or _key(wanted.get(order.reference), offers)
            outcome = _decide(order, offers.get(order.training), buyers.get(order.registrant_id), seats, known)
            if outcome is Outcome.BOUGHT:
                _take(order, offers[order.training], buyers[order.registrant_id], seats)
                wanted[order.reference] = order
            outcomes.append(outcome)

        _grant(cursor, wanted.values(), buyers)
        bought = _insert(cursor, platform, wanted, offers, random_bytes)
        if len(bought) < len(wanted):  # at this moment, another order has taken the reference
            before |= _before(cursor, platform, wanted.keys() - bought.keys())
        _move(wanted[reference] for reference in bought)
        _tell(platform, wanted, offers, bought)
    return [_result(order, outcome, offers, bought, before) for order, outcome in zip(orders, outcomes, strict=True)]


def foresee(training: Training, registrant: Registrant, *, at: datetime) -> Outcome:
    """What would become of an order of theirs then, as things stand; nothing is held."""
    limited = training.seats is not None
    offer = _Offer(training.pk, training.code, training.price, training.valid_from, training.valid_until, limited)
    with connection.cursor() as cursor:
        buyers = _buyers(cursor, {registrant.pk: Held(registrant.stage, registrant.drop_off)})
    seats = {} if training.seats is None else {training.pk: training.seats - training.taken}
    return _decide(Order(registrant.pk, training.code, "-", at), offer, buyers.get(registrant.pk), seats, None)


#: Who bought what by a reference: registrant and training; and the purchase.
_Key = tuple[int, int]
_Known = tuple[_Key, int, str]


def _offers(cursor: CursorWrapper, platform: str, codes: set[str]) -> dict[str, _Offer]:
    cursor.execute(
        """
        SELECT id, code, price, valid_from, valid_until, seats IS NOT NULL FROM trainings_training
        WHERE platform_id = %s AND code = ANY (%s)
        """,
        [platform, list(codes)],
    )
    return {row[1]: _Offer._make(row) for row in cursor.fetchall()}


def _buyers(cursor: CursorWrapper, standing: Mapping[int, Held]) -> dict[int, _Buyer]:
    """The recipients among them; read when they are locked, so that nobody else spends meanwhile."""
    cursor.execute(
        """
        SELECT recipient.registrant_id, recipient.ended_at IS NOT NULL, decree.buy_by, decree.year, balance.balance
        FROM waves_recipient recipient JOIN waves_decree decree ON decree.id = recipient.decree_id
        LEFT JOIN trainings_balance balance ON balance.registrant_id = recipient.registrant_id
        WHERE recipient.registrant_id = ANY (%s::bigint[])
        """,
        [array(id for id, held in standing.items() if held.stage >= Stage.SELECTED)],
    )
    return {id: _Buyer(standing[id], *rest) for id, *rest in cursor.fetchall()}


def _before(cursor: CursorWrapper, platform: str, references: Iterable[str]) -> dict[str, _Known]:
    """What the platform has bought by these references."""
    cursor.execute(
        """
        SELECT reference, registrant_id, training_id, id, redeem_code FROM trainings_purchase
        WHERE platform = %s AND reference = ANY (%s::text[])
        """,
        [platform, texts(references)],
    )
    return {reference: ((registrant, training), id, code) for reference, registrant, training, id, code in cursor.fetchall()}


def _key(order: Order | None, offers: dict[str, _Offer]) -> _Known | None:
    return ((order.registrant_id, offers[order.training].id), 0, "") if order else None


def _decide(
    order: Order, offer: _Offer | None, buyer: _Buyer | None, seats: dict[int, int], known: _Known | None
) -> Outcome:
    """What becomes of an order. What a repeated one has done comes first: it is told the same for ever."""
    if not REFERENCE.fullmatch(order.reference):
        return Outcome.BAD_REFERENCE
    if known:
        same = offer is not None and known[0] == (order.registrant_id, offer.id)
        return Outcome.ALREADY if same else Outcome.REFERENCE_TAKEN
    if offer is None:
        return Outcome.UNKNOWN_TRAINING
    if buyer is None:
        return Outcome.NOT_A_RECIPIENT
    problems = (
        (Outcome.ENDED, buyer.ended),
        (Outcome.NOT_ON_SALE, not offer.valid_from <= order.at < offer.valid_until),
        (Outcome.TOO_LATE, buyer.stage == Stage.SELECTED and buyer.buy_by is not None and order.at >= buyer.buy_by),
        (Outcome.BALANCE_EXPIRED, order.at >= buyer.use_by),
        (Outcome.PRICE_DIFFERS, order.price is not None and order.price != offer.price),
        (Outcome.BALANCE_TOO_LOW, offer.price > buyer.balance),
        (Outcome.SOLD_OUT, offer.is_limited and seats[offer.id] < 1),
    )
    return next((outcome for outcome, holds in problems if holds), Outcome.BOUGHT)


def _take(order: Order, offer: _Offer, buyer: _Buyer, seats: dict[int, int]) -> None:
    buyer.balance -= offer.price
    buyer.stage = max(buyer.stage, Stage.TRAINING_BOUGHT)
    if offer.is_limited:
        seats[offer.id] -= 1


def _grant(cursor: CursorWrapper, orders: Iterable[Order], buyers: dict[int, _Buyer]) -> None:
    """The programme's balance comes with the first purchase, once for life."""
    first = {order.registrant_id: order.at for order in orders if buyers[order.registrant_id].granted}
    cursor.execute(
        f"""
        INSERT INTO trainings_transfer (at, debit, credit, amount, kind)
        SELECT {timestamptz("at")}, 0, id, amount, {Transfer.Kind.GRANT}
        FROM unnest(%s::bigint[], %s::bigint[], %s::int[]) AS granted (id, at, amount)
        """,
        [array(first), instants(first.values()), array(buyers[id].granted for id in first)],
    )


def _insert(
    cursor: CursorWrapper,
    platform: str,
    wanted: dict[str, Order],
    offers: dict[str, _Offer],
    random_bytes: Callable[[int], bytes],
) -> dict[str, tuple[int, str]]:
    """Write the purchases; with them, triggers move the money and take the seats. Return id and code by reference."""
    # In one order: nobody who waits for a reference is waited for.
    orders = [wanted[reference] for reference in sorted(wanted)]
    drawn = random_bytes(CODE_BYTES * len(orders))
    codes = [b32encode(drawn[place : place + CODE_BYTES]).decode() for place in range(0, len(drawn), CODE_BYTES)]
    cursor.execute(
        f"""
        INSERT INTO trainings_purchase
            (registrant_id, training_id, price, bought_at, redeem_code, platform, reference, state, is_first, meetings)
        SELECT registrant_id, training_id, price, {timestamptz("at")}, redeem_code, %s, reference, 1, false, 0
        FROM unnest(%s::bigint[], %s::bigint[], %s::int[], %s::bigint[], %s::text[], %s::text[])
            AS wanted (registrant_id, training_id, price, at, redeem_code, reference)
        ON CONFLICT (platform, reference) DO NOTHING
        RETURNING reference, id, redeem_code
        """,
        [
            platform,
            array(order.registrant_id for order in orders),
            array(offers[order.training].id for order in orders),
            array(offers[order.training].price for order in orders),
            instants(order.at for order in orders),
            array(codes),
            texts(order.reference for order in orders),
        ],
    )
    return {reference: (id, code) for reference, id, code in cursor.fetchall()}


def _tell(platform: str, wanted: dict[str, Order], offers: dict[str, _Offer], bought: dict[str, tuple[int, str]]) -> None:
    """The platform, which may not have asked: recipients buy on our pages too."""
    told = [
        {
            "purchase": id,
            "redeem_code": code,
            "reference": reference,
            "training": wanted[reference].training,
            "price": offers[wanted[reference].training].price,
            "bought_at": wanted[reference].at.isoformat(),
        }
        for reference, (id, code) in bought.items()
    ]
    webhooks.emit("purchase.created", {platform: told})


def _move(orders: Iterable[Order]) -> None:
    """The first training lifts; any other one takes away that the last was cancelled."""
    when: dict[int, datetime] = {}
    for order in orders:
        when[order.registrant_id] = min(order.at, when.get(order.registrant_id, order.at))
    lifted = ladder.climb(Stage.TRAINING_BOUGHT, when)
    _clear({id: at for id, at in when.items() if id not in lifted})


def _clear(when: dict[int, datetime]) -> None:
    if not when:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id FROM registrations_registrant WHERE id = ANY (%s::bigint[]) AND drop_off = {DropOff.PURCHASE_CANCELLED}",
            [array(when)],
        )
        by_hour: dict[datetime, list[int]] = {}
        for (id,) in cursor.fetchall():
            by_hour.setdefault(when[id].replace(minute=0, second=0, microsecond=0), []).append(id)
    # The funnel counts by the hour: one statement for each, not for each person.
    for ids in by_hour.values():
        ladder.clear_drop_off(ids, Stage.TRAINING_BOUGHT, max(when[id] for id in ids))


def _result(
    order: Order,
    outcome: Outcome,
    offers: dict[str, _Offer],
    bought: dict[str, tuple[int, str]],
    before: dict[str, _Known],
) -> Result:
    if outcome not in (Outcome.BOUGHT, Outcome.ALREADY):
        return Result(outcome)
    if order.reference in bought:
        return Result(outcome, *bought[order.reference])
    key, id, code = before[order.reference]
    same = key == (order.registrant_id, offers[order.training].id)
    return Result(Outcome.ALREADY, id, code) if same else Result(Outcome.REFERENCE_TAKEN)
