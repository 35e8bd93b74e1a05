"""Cancelling: the price goes back to the balance. A recipient may until the code is used, the platform until it is completed."""

from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from django.db import connection, transaction

from foundation.pg import array, instants, timestamptz
from partners import webhooks
from registrations import ladder
from registrations.stages import DropOff, Stage
from trainings import holding
from trainings.models import Purchase

State = Purchase.State


class Cancellation(NamedTuple):
    redeem_code: str
    at: datetime


class Outcome(Enum):
    CANCELLED = "cancelled"
    ALREADY = "already"
    #: Or another platform's: that is not told.
    UNKNOWN = "unknown"
    #: Who attends a training to its end and then has the money back has had it for nothing.
    USED = "used"
    COMPLETED = "completed"


def cancel(cancellations: Sequence[Cancellation], *, platform: str, unused_only: bool = False) -> list[Outcome]:
    """Cancel these purchases of the platform's trainings; `unused_only`, as recipients may: unless the code was used.

    One outcome each, in order.

    Money and seat go back by trigger. Who has no other training then is held by that reason, until they buy one.
    """
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        held = holding.hold((each.redeem_code for each in cancellations), partner=platform, as_platform=True)
        gone: dict[str, datetime] = {}
        outcomes = []
        for redeem_code, at in cancellations:
            purchase = held.get(redeem_code)
            outcome = _decide(purchase, unused_only)
            if outcome is Outcome.CANCELLED and purchase:
                gone[redeem_code] = max(at, purchase.bought_at)
                held[redeem_code] = purchase._replace(state=State.CANCELLED)
            outcomes.append(outcome)
        if gone:
            holding.lock_seats(cursor, (held[code].training_id for code in gone))
            cursor.execute(
                f"""
                UPDATE trainings_purchase purchase SET state = {State.CANCELLED}, cancelled_at = {timestamptz("gone.at")}
                FROM unnest(%s::bigint[], %s::bigint[]) AS gone (id, at) WHERE purchase.id = gone.id
                """,
                [array(held[code].id for code in gone), instants(gone.values())],
            )
            told = [
                {"purchase": held[code].id, "redeem_code": code, "cancelled_at": at.isoformat()} for code, at in gone.items()
            ]
            webhooks.emit("purchase.cancelled", {platform: told})
            _hold_back({held[code].registrant_id: at for code, at in gone.items()})
    return outcomes


def _decide(purchase: holding.Held | None, unused_only: bool) -> Outcome:
    if purchase is None:
        return Outcome.UNKNOWN
    match State(purchase.state):
        case State.CANCELLED:
            return Outcome.ALREADY
        case State.COMPLETED:
            return Outcome.COMPLETED
        case State.REDEEMED | State.ATTENDING if unused_only:
            return Outcome.USED
    return Outcome.CANCELLED


def _hold_back(when: dict[int, datetime]) -> None:
    """Who has no training left, of those whom one had lifted."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT id FROM registrations_registrant registrant
            WHERE id = ANY (%s::bigint[]) AND stage = {Stage.TRAINING_BOUGHT} AND NOT EXISTS (
                SELECT FROM trainings_purchase purchase
                WHERE purchase.registrant_id = registrant.id AND purchase.state <> {State.CANCELLED}
            )
            """,
            [array(when)],
        )
        reasons = {id: DropOff.PURCHASE_CANCELLED for (id,) in cursor.fetchall()}
    ladder.drop_off(reasons, when)
