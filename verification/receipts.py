"""Delivery receipts: what SMS providers tell of messages that they have accepted.

A receipt may come late, twice, out of order, or about a message that nobody knows: it raises what is known of a message, or
changes nothing.
"""

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection, transaction

from verification.delivery import Received, receive
from verification.models import DeliveryState as State

MOST_A_CALL = 500

#: `registrant.challenge`, as our messages are referred to.
_REFERENCE = re.compile(r"[1-9][0-9]{0,17}\.[0-9a-f]{32}")
_WORDS = {"sent": State.SENT, "failed": State.FAILED, "delivered": State.DELIVERED}


class Malformed(ValueError):
    """A call that is no list of receipts, or a list of too many."""


class Receipt(NamedTuple):
    reference: str
    state: State


def read(body: bytes) -> list[Receipt | None]:
    """The receipts of a call, `{"receipts": [{"reference": "...", "status": "...", "at": "..."}]}`; None for each that says
    nothing about a message of ours in words that were agreed on. Raises `Malformed`.
    """
    try:
        told = json.loads(body)
        listed = told["receipts"]
    except (ValueError, RecursionError, TypeError, KeyError):
        raise Malformed("no receipts") from None
    if not isinstance(listed, list) or len(listed) > MOST_A_CALL:
        raise Malformed("no list of receipts, or too many")
    return [_receipt(entry) for entry in listed]


def _receipt(entry: Any) -> Receipt | None:
    if not isinstance(entry, dict):
        return None
    reference, status, at = (entry.get(name) for name in ("reference", "status", "at"))
    if not (isinstance(reference, str) and isinstance(status, str) and isinstance(at, str)):
        return None
    if not _REFERENCE.fullmatch(reference) or status not in _WORDS or not _is_instant(at):
        return None
    return Receipt(reference, _WORDS[status])


def _is_instant(text: str) -> bool:
    """Whether this is ISO 8601 in UTC. Which of two receipts counts, the words decide: clocks of others may be wrong."""
    try:
        return datetime.fromisoformat(text).utcoffset() == timedelta(0)
    except ValueError:
        return False


def apply(receipts: list[Receipt | None]) -> Received:
    """Raise what is known of these messages, and count what the receipts came to."""
    news: dict[str, State] = {}
    for receipt in _of_ours(receipts):
        news[receipt.reference] = max(receipt.state, news.get(receipt.reference, State.NONE))
    with transaction.atomic():
        found = receive(news) if news else Received(0, 0, 0)
        came_of_it = Received(
            found.applied,
            found.repeated + sum(1 for _ in _of_ours(receipts)) - len(news),
            found.unknown + receipts.count(None),
        )
        _count(came_of_it)
    return came_of_it


def _of_ours(receipts: list[Receipt | None]) -> Iterator[Receipt]:
    return (receipt for receipt in receipts if receipt)


def _count(came_of_it: Received) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO verification_receiptday AS total (day, applied, repeated, unknown)
            VALUES ((clock_timestamp() AT TIME ZONE 'UTC')::date, %s, %s, %s)
            ON CONFLICT (day) DO UPDATE SET applied = total.applied + excluded.applied,
                repeated = total.repeated + excluded.repeated, unknown = total.unknown + excluded.unknown
            """,
            came_of_it,
        )
