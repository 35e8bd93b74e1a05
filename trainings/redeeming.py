"""Redeeming: the training provider asks what a redeem code is worth, and says that it is used, and which meeting was attended."""

from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple

from django.db import connection, transaction

from foundation.pg import array, instants, timestamptz
from registrations.regions import WIB
from trainings import holding
from trainings.literals import instants_or_null
from trainings.models import Purchase, Training

State = Purchase.State

#: Meetings that can be told, in the order of their bits; 999 is the whole training.
SEQUENCES = (*range(1, 11), 999)


class Use(NamedTuple):
    redeem_code: str
    at: datetime
    #: The meeting that is attended; None: none is, the code is redeemed only.
    sequence: int | None = None


class Outcome(Enum):
    COMMITTED = "committed"
    #: Redeemed before; with this sequence, if one is told.
    ALREADY = "already"
    #: Or another partner's: that is not told.
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"
    BAD_SEQUENCE = "bad sequence"


def commit(uses: Sequence[Use], *, partner: str) -> list[Outcome]:
    """Redeem these codes of trainings that the partner gives or sells, and note meetings attended; one outcome each, in order."""
    with transaction.atomic(savepoint=False):
        held = holding.hold((use.redeem_code for use in uses), partner=partner)
        changed: dict[str, tuple[datetime, datetime | None, int]] = {}
        outcomes = []
        for use in uses:
            purchase = held.get(use.redeem_code)
            outcome = _decide(use, purchase)
            if outcome is Outcome.COMMITTED and purchase:
                now = max(use.at, purchase.bought_at)
                at, attended_at, _ = changed.get(use.redeem_code, (purchase.redeemed_at or now, None, 0))
                purchase = _used(purchase, use.sequence, at)
                held[use.redeem_code] = purchase
                attends = max(now, at) if use.sequence is not None else None
                changed[use.redeem_code] = (at, attended_at or attends, purchase.meetings)
            outcomes.append(outcome)
        _write({held[code].id: change for code, change in changed.items()})
    return outcomes


def _decide(use: Use, purchase: holding.Held | None) -> Outcome:
    if purchase is None:
        return Outcome.UNKNOWN
    if purchase.state == State.CANCELLED:
        return Outcome.CANCELLED
    if use.sequence is None:
        return Outcome.COMMITTED if purchase.state == State.ISSUED else Outcome.ALREADY
    if use.sequence not in SEQUENCES:
        return Outcome.BAD_SEQUENCE
    return Outcome.ALREADY if purchase.meetings & _bit(use.sequence) else Outcome.COMMITTED


def _bit(sequence: int) -> int:
    return 1 << SEQUENCES.index(sequence)


def _used(purchase: holding.Held, sequence: int | None, at: datetime) -> holding.Held:
    meetings = purchase.meetings | (_bit(sequence) if sequence is not None else 0)
    return purchase._replace(state=max(purchase.state, State.REDEEMED), redeemed_at=at, meetings=meetings)


def _write(changes: dict[int, tuple[datetime, datetime | None, int]]) -> None:
    """A training that is completed stays so, when a meeting is told of late."""
    if not changes:
        return
    redeemed, attended, meetings = zip(*changes.values(), strict=True)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            UPDATE trainings_purchase purchase
            SET state = greatest(state, CASE WHEN used.meetings > 0 THEN {State.ATTENDING} ELSE {State.REDEEMED} END),
                redeemed_at = coalesce(redeemed_at, {timestamptz("used.redeemed")}),
                attended_at = coalesce(attended_at, {timestamptz("used.attended")}),
                meetings = used.meetings
            FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::smallint[]) AS used (id, redeemed, attended, meetings)
            WHERE purchase.id = used.id
            """,
            [array(changes), instants(redeemed), instants_or_null(attended), array(meetings)],
        )


def attended(meetings: int) -> list[int]:
    """The sequences whose bits are set."""
    return [sequence for sequence in SEQUENCES if meetings & _bit(sequence)]


def status(redeem_code: str, *, partner: str, sequence: int | None = None) -> dict[str, Any] | None:
    """What a redeem code is worth, as the `data` of the signed calls' answer; None: unknown, or another partner's.

    Field names and types: those which the official clients and integrators read. `status`: 0 not used, 1 used, 2 cancelled.
    `attendance_status`: whether the sequence that is asked for, or any, was attended; `sequence`: that one, or the last.
    """
    if not holding.CODE.fullmatch(redeem_code):
        return None
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT reference, platform, state, redeemed_at, meetings, training.code, schedule_code, schedule, mode
            FROM trainings_purchase purchase JOIN trainings_training training ON training.id = purchase.training_id
            WHERE redeem_code = %(code)s AND ({holding.MINE})
            """,
            {"code": redeem_code, "partner": partner},
        )
        found = cursor.fetchone()
    if found is None:
        return None
    reference, platform, state, redeemed_at, meetings, course_code, schedule_code, schedule, mode = found
    told = attended(meetings)
    return {
        "redeem_code": redeem_code,
        "course_code": course_code,
        "invoice_code": reference,
        "schedule_code": schedule_code,
        "status": {State.ISSUED: 0, State.CANCELLED: 2}.get(State(state), 1),
        "attendance_status": int(bool(told) if sequence is None else sequence in told),
        "redeem_at": redeemed_at.astimezone(WIB).isoformat(timespec="seconds") if redeemed_at else "",
        "dp_platform": platform,
        "schedule_start_end": schedule,
        "course_type": mode,
        "course_type_label": _LABELS[Training.Mode(mode)],
        "course_learning_method": "offline" if mode == Training.Mode.CLASSROOM else "online",
        "is_online_attendance": mode in (Training.Mode.WEBINAR, Training.Mode.BLENDED),
        "sequence": sequence if sequence is not None else max(told, default=0),
    }


#: In the language of the integration, whatever the server's is.
_LABELS = {
    Training.Mode.SELF_PACED: "Self-paced learning",
    Training.Mode.WEBINAR: "Webinar",
    Training.Mode.CLASSROOM: "Luring",
    Training.Mode.BLENDED: "Bauran",
}
