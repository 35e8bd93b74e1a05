"""What partners are told: written in the transaction that causes it, delivered by workers (`partners.delivery`)."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import orjson
from django.db import connection
from django.db.models.functions import Now

from foundation.sealing import seal, unseal
from foundation.work import enqueue
from partners.models import Event

QUEUE = "webhooks"
#: So many events wait together: a slow partner's are soon apart from the others'.
PARCEL = 500


def emit(kind: str, payloads: Mapping[str, Sequence[Mapping[str, Any]]]) -> int:
    """Tell partners, when the caller's transaction commits; `payloads` are what each is told, by its code. Return how many events.

    `kind` is of the form `purchase.created`; a payload is anything that JSON can say. Who has no address is told nothing.
    """
    listening = _listening(payloads)
    if not listening:
        return 0
    events = [
        Event(partner_id=partner, kind=kind, sealed=sealed(partner, payload))
        for partner, told in payloads.items()
        if partner in listening
        for payload in told
    ]
    Event.objects.bulk_create(events, batch_size=2000)
    post(event.pk for event in events)
    return len(events)


def _listening(partners: Iterable[str]) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT partner_id FROM partners_address JOIN partners_partner ON code = partner_id"
            " WHERE partner_id = ANY (%s) AND is_active",
            [list(partners)],
        )
        return {code for (code,) in cursor.fetchall()}


def replay(events: Iterable[int]) -> int:
    """Have these events told again, for another 24 hours, in the caller's transaction; return how many."""
    ids = list(events)
    again = Event.objects.filter(pk__in=ids).update(state=Event.State.WAITING, since=Now(), attempts=0, delivered_at=None)
    post(ids)
    return again


def post(ids: Iterable[int]) -> None:
    rest = iter(ids)
    while part := list(islice(rest, PARCEL)):
        enqueue(QUEUE, part)


def payload(event: Event) -> Any:
    return orjson.loads(unseal(event.sealed, _place(event.partner_id)))


def webhook_id(event: Event) -> str:
    """The event's own, whenever it is told."""
    return f"evt_{event.pk}"


def sealed(partner: str, payload: Mapping[str, Any]) -> bytes:
    return seal(orjson.dumps(payload, default=str), _place(partner))


def _place(partner: str) -> bytes:
    return f"partners_event:{partner}".encode()
