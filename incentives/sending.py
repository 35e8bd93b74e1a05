"""Sending what was approved: noted before it is sent, sent once, and asked for whenever it is not known what became of it.

Nothing is sent into an account of which its payer has said meanwhile that it is not fit: it is taken back before.

What its payer has never heard of is sent again under the same reference, if its batch may still be sent: not when that was stopped, or
changed after the approval, when a payer's file has left something over, or when the account's gate was shut. That the payer has not
heard of it yet does not say that it never will, for the order may be under way: so it stays unknown until a day after it was sent, and
has failed then.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import connection, transaction
from django.utils import timezone

from foundation.pg import array
from foundation.services import Unavailable
from foundation.work import Claim, Item, enqueue_items, work_off
from incentives import batching, results
from incentives.models import Payout
from incentives.numbers import open_number
from incentives.payers import queue, service
from incentives.payout import Order, Outcome, Payer
from incentives.results import Key
from incentives.terms import ITEMS
from registrations import ladder
from registrations.holding import Held, hold
from registrations.stages import Stage

Clock = Callable[[], datetime]
S = Payout.State

#: What a payer has taken and not decided is asked for again after so many seconds.
PENDING_WAIT = 60.0
#: What may not be sent any more, and of which a payer has not heard so long after it was sent, has failed: it is on its way no more.
LOST_AFTER = timedelta(days=1)


def send_batch(code: str, *, payer: Payer, size: int, clock: Clock = timezone.now) -> int:
    """Send one batch of approved payouts to their payer; return how many were in hand."""
    return work_off(queue(code), size=size, service=service(code), act=lambda claim: _send(claim, code, payer, clock))


def _send(claim: Claim, code: str, payer: Payer, clock: Clock) -> int:
    new, in_doubt = _noted(claim.items, code, at=clock())

    # Outside any transaction. What may have been sent is asked for; only what the payer has never heard of is sent.
    said = dict[Key, Outcome]()
    try:
        said |= _asked(payer.outcomes, in_doubt)
        unheard = {key for key, outcome in said.items() if outcome is Outcome.NOT_FOUND}
        orders = new | (_noted_again(unheard, code, at=clock()) if unheard else {})
        said |= _asked(payer.pay, orders)
    except Unavailable:
        # Those, too, that were to be sent just now: the line may have been cut after they were paid.
        with transaction.atomic():
            held = _hold([*new, *in_doubt])
            results.settle(said, at=clock(), held=held)
            results.note_unknown(key for key in [*new, *in_doubt] if said.get(key) is not Outcome.PENDING)
        raise

    with claim.settling():
        held = _hold(said)
        results.settle(said, at=clock(), held=held)
        unknown = {key for key, outcome in said.items() if outcome in (Outcome.UNKNOWN, Outcome.NOT_FOUND)}
        results.note_unknown(unknown)
        claim.again(claim.of({key.obligation_id for key in unknown}))
        pending = {key.obligation_id for key, outcome in said.items() if outcome is Outcome.PENDING}
        enqueue_items(claim.queue, claim.of(pending), wait=PENDING_WAIT)
    return len(said)


def _hold(keys: Iterable[Key]) -> dict[int, Held]:
    """All at once: in two parts, two senders with the same payouts would wait for each other."""
    return hold(key.obligation_id // ITEMS for key in keys)


Orders = Mapping[Key, Order]


def _asked(ask: Callable[[Sequence[Order]], list[Outcome]], orders: Orders) -> dict[Key, Outcome]:
    return dict(zip(orders, ask(list(orders.values())), strict=True)) if orders else {}


class _Row(NamedTuple):
    obligation_id: int
    attempt: int
    state: int
    amount: int
    batch_id: int
    block: int
    sent_at: datetime | None
    registrant_id: int
    payer: str
    digest: str
    sealed: memoryview
    #: The account's, as its payer has told it last.
    gate: int

    @property
    def key(self) -> Key:
        return Key(self.obligation_id, self.attempt)


def _noted(items: Iterable[Item], code: str, *, at: datetime) -> tuple[dict[Key, Order], dict[Key, Order]]:
    """The orders of these obligations' last attempts: those that were never sent, noted as being sent; and those in doubt.

    Before anything goes out this is committed: whoever takes the work over knows that it may have been sent.
    """
    ids = {item.subject for item in items}
    with transaction.atomic():
        held = hold(id // ITEMS for id in ids)
        rows = _rows(ids, code)
        niks = _niks(row.registrant_id for row in rows)
        fresh = [row for row in rows if row.state == S.APPROVED]
        whole, hindered = _whole(fresh), _hindered(fresh)
        # Opened first: what does not open is not noted either.
        new = _orders((row for row in whole if row.obligation_id not in hindered), niks)
        in_doubt = _orders((row for row in rows if row.state != S.APPROVED), niks)
        _note(list(new), at)
        if hindered:
            theirs = {id: held[id] for id in {id // ITEMS for id in hindered}}
            batching.take_back([row.key for row in fresh if row.obligation_id in hindered], theirs, at=at)
    return new, in_doubt


def _noted_again(unheard: Set[Key], code: str, *, at: datetime) -> dict[Key, Order]:
    """The orders of those that the payer has never heard of and that may be sent as they were approved, noted as being sent now.

    The others are asked for until they cannot be on their way any more, and have failed then: decided with the persons in hand, so
    that nobody sends them at this moment.
    """
    ids = {key.obligation_id for key in unheard}
    with transaction.atomic():
        held = hold(id // ITEMS for id in ids)
        rows = [row for row in _rows(ids, code) if row.key in unheard]
        hindered = _hindered(rows)
        orders = _orders(
            (row for row in _whole(rows) if row.obligation_id not in hindered), _niks(row.registrant_id for row in rows)
        )
        _note_again(list(orders), at)
        stays = (row for row in rows if row.key not in orders)
        lost = {row.key: Outcome.FAILED for row in stays if row.sent_at and row.sent_at + LOST_AFTER <= at}
        results.settle(lost, at=at, held=held)
    return orders


def _whole(rows: Sequence[_Row]) -> list[_Row]:
    """Those of the rows that may be sent as they were approved; the batches of the others are stopped, if they are not already."""
    whole = batching.are_whole({(row.batch_id, row.block) for row in rows}) if rows else set()
    batching.stop({row.batch_id for row in rows if (row.batch_id, row.block) not in whole}, why=_CHANGED)
    return [row for row in rows if (row.batch_id, row.block) in whole]


_CHANGED = "changed after it was approved"


def _hindered(rows: Sequence[_Row]) -> set[int]:
    """Those of the obligations that must not go out although they were approved, persons in hand: a payer's file has left something
    over, or the account's gate was shut since. That there is another account by now is no hindrance."""
    return batching.left_over(row.obligation_id for row in rows) | {row.obligation_id for row in rows if row.gate}


def _rows(ids: Iterable[int], code: str) -> list[_Row]:
    """The last attempts of these obligations, if they are this payer's and not decided.

    What waits here may be left from an attempt before: the one after it can be another payer's, and only that one is asked.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT payout.obligation_id, payout.attempt, payout.state, payout.amount, payout.batch_id, payout.block,
                   payout.sent_at, account.registrant_id, account.payer, encode(uuid_send(account.digest), 'hex'), account.sealed,
                   account.gate
            FROM incentives_obligation obligation
            JOIN incentives_payout payout ON payout.obligation_id = obligation.id AND payout.attempt = obligation.attempt
            JOIN incentives_account account ON account.id = payout.account_id
            WHERE obligation.id = ANY (%s::bigint[]) AND account.payer = %s
            ORDER BY obligation.id
            """,
            [array(ids), code],
        )
        rows = (_Row._make(row) for row in cursor.fetchall())
        # Not asked of the database, which would look through all payouts for the few in these states.
        return [row for row in rows if row.state in (S.APPROVED, S.SENDING, S.UNKNOWN)]


def _note(keys: Sequence[Key], at: datetime) -> None:
    if not keys:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH noted AS (
                UPDATE incentives_payout payout SET state = {S.SENDING}, sent_at = %s
                FROM unnest(%s::bigint[], %s::smallint[]) AS new (id, attempt)
                WHERE payout.obligation_id = new.id AND payout.attempt = new.attempt
                RETURNING payout.obligation_id
            )
            UPDATE incentives_obligation obligation SET state = {S.SENDING} FROM noted WHERE obligation.id = noted.obligation_id
            """,
            [at, array(key.obligation_id for key in keys), array(key.attempt for key in keys)],
        )


def _note_again(keys: Sequence[Key], at: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE incentives_payout payout SET sent_at = %s FROM unnest(%s::bigint[], %s::smallint[]) AS again (id, attempt)
            WHERE payout.obligation_id = again.id AND payout.attempt = again.attempt
            """,
            [at, array(key.obligation_id for key in keys), array(key.attempt for key in keys)],
        )


def _niks(registrant_ids: Iterable[int]) -> dict[int, str]:
    people = ladder.standing(list(set(registrant_ids)), Stage.PHONE_VERIFIED, or_above=True)
    return {id: standing.open().nik for id, standing in people.items()}


def _orders(rows: Iterable[_Row], niks: Mapping[int, str]) -> dict[Key, Order]:
    return {
        Key(row.obligation_id, row.attempt): Order(
            f"{row.obligation_id}-{row.attempt}",
            open_number(row.sealed, payer=row.payer, registrant_id=row.registrant_id, digest=row.digest),
            niks[row.registrant_id],
            row.amount,
        )
        for row in rows
    }
