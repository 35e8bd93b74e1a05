"""What partners tell us: verified as it comes in, kept, answered at once, and applied later by who knows the kind."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models.functions import Now

from foundation import webhooks as standard
from foundation.sealing import seal, unseal
from foundation.work import Claim, enqueue, work_off
from partners import keys, parsing
from partners.models import Message, Partner, Secret

QUEUE = "inbox"
MAX_BYTES = 1_000_000
LONGEST_ID, LONGEST_KIND = 255, 50


class Told(NamedTuple):
    """A message, as a handler gets it."""

    partner: str
    kind: str
    data: dict[str, Any]
    #: When it came in, by the database's clock.
    at: datetime
    webhook_id: str


Handler = Callable[[Sequence[Told]], None]

_handlers: dict[str, Handler] = {}


def applies(kind: str) -> Callable[[Handler], Handler]:
    """Make a function the one that applies messages of this kind, e.g. `payout.settled`: a set of them, oldest first.

    It runs in one transaction with the messages being marked as applied, so each is applied once; what it raises is tried again,
    and set aside in the end. Messages come in any order, and not always true: it must guard each step.
    """

    def register(handler: Handler) -> Handler:
        _handlers[kind] = handler
        return handler

    return register


class NotVerified(Exception):
    """Nobody who knows the partner's secret has sent this in the last five minutes."""


class Malformed(Exception):
    """Verified, but not of the form agreed on; the text says how and quotes nothing."""


def take(partner: str, body: bytes, *, webhook_id: str, timestamp: str, signatures: str, now: datetime) -> bool:
    """Keep a message, to be applied later; return whether it is new. Raises `NotVerified`, `Malformed`.

    `webhook_id`, `timestamp` and `signatures` are the headers as they came.
    """
    signed = standard.is_signed(
        body,
        webhook_id=webhook_id,
        timestamp=timestamp,
        signatures=signatures,
        secrets=keys.live(partner, Secret.Use.IN),
        now=now.timestamp(),
    )
    if not signed or not Partner.objects.filter(pk=partner, is_active=True).exists():
        raise NotVerified
    kind = _kind(body)
    if len(webhook_id) > LONGEST_ID or "\0" in webhook_id:
        raise Malformed("The webhook-id is too long.")
    with transaction.atomic(), connection.cursor() as cursor:
        # A unique key decides which of two at once is the first.
        cursor.execute(
            """
            INSERT INTO partners_message (partner_id, webhook_id, kind, sealed, state) VALUES (%s, %s, %s, %s, %s)
            ON CONFLICT (partner_id, webhook_id) DO NOTHING RETURNING id
            """,
            [partner, webhook_id, kind, seal(body, _place(partner)), Message.State.WAITING],
        )
        kept = cursor.fetchone()
        if kept:
            enqueue(QUEUE, kept)
    return kept is not None


def _kind(body: bytes) -> str:
    try:
        told = parsing.read(body)
    except parsing.Unreadable as error:
        raise Malformed(str(error)) from None
    if not isinstance(told, dict) or not isinstance(told.get("data"), dict):
        raise Malformed("An object with type, timestamp and data is wanted.")
    kind = told.get("type")
    if not isinstance(kind, str) or not 1 <= len(kind) <= LONGEST_KIND or "\0" in kind:
        raise Malformed(f"The type is 1 to {LONGEST_KIND} characters of text.")
    return kind


def apply_batch(*, size: int) -> int:
    """Apply one batch of messages; return how many were in hand."""
    return work_off(QUEUE, size=size, service=None, act=_apply, set_aside=_fail)


def _apply(claim: Claim) -> int:
    with claim.settling():
        waiting = Message.objects.select_for_update().filter(
            pk__in=[item.subject for item in claim.items], state=Message.State.WAITING
        )
        by_kind: defaultdict[str, list[Message]] = defaultdict(list)
        for message in waiting.order_by("id"):
            by_kind[message.kind].append(message)
        for kind, messages in by_kind.items():
            handler = _handlers.get(kind)
            if handler:
                handler([_told(message) for message in messages])
            state = Message.State.APPLIED if handler else Message.State.UNKNOWN
            Message.objects.filter(pk__in=[message.pk for message in messages]).update(state=state, applied_at=Now())
    return len(claim.items)


def _fail(ids: Sequence[int]) -> None:
    Message.objects.filter(pk__in=ids, state=Message.State.WAITING).update(state=Message.State.FAILED)


def _told(message: Message) -> Told:
    data = parsing.read(unseal(message.sealed, _place(message.partner_id)))["data"]
    return Told(message.partner_id, message.kind, data, message.at, message.webhook_id)


def _place(partner: str) -> bytes:
    return f"partners_message:{partner}".encode()
