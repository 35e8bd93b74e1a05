"""Events on their way to partners: signed as Standard Webhooks has it, tried for 24 hours, each try written down.

Every partner of a batch has a thread of its own and is told one event after the other, those first that have failed least often.
Who refuses an event (3xx, 4xx) gets it again later, and the next ones now. Who does not answer, or is ill (5xx, 429), is left alone
for a while, longer each time; the others' events do not wait for it.
"""

import random
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import orjson
from django.conf import settings
from django.db.models import F
from django.db.models.functions import Now
from standardwebhooks import Webhook

from foundation import pg
from foundation.work import Claim, Item, enqueue_items, work_off
from partners import keys, outside, webhooks
from partners.models import Address, Attempt, Event, Secret
from partners.outside import Undeliverable
from partners.webhooks import QUEUE

#: So many events a batch, and so long a batch at most is begun with: with one call more it must end within the lease.
BATCH = 500
PATIENCE = 25.0
THREADS = 8
#: How long an event is tried.
TRIED_FOR = timedelta(hours=24)
#: How long an event, or a partner, is left alone after so many bad answers in a row, in seconds; then as long as the last.
WAITS = (5, 30, 120, 600, 1800, 3600)

#: Posts a body to an address and returns the answer's status, or raises `Undeliverable`.
Poster = Callable[[str, bytes, Mapping[str, str]], int]


class Letter(NamedTuple):
    """An event as it is sent."""

    event: int
    webhook_id: str
    body: bytes


class Errand(NamedTuple):
    """What one partner is to be told now."""

    partner: str
    url: str
    secrets: list[bytes]
    letters: list[Letter]


class Try(NamedTuple):
    event: int
    at: datetime
    status: int | None
    reason: str
    milliseconds: int

    @property
    def worked(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def is_ill(self) -> bool:
        """Whether the partner would answer no other event either."""
        return self.status is None or self.status == 429 or self.status >= 500


def post(url: str, body: bytes, headers: Mapping[str, str]) -> int:
    return outside.post(url, body, headers, sandbox=settings.SANDBOX)


def send_batch(*, size: int, post: Poster = post) -> int:
    """Tell partners of one batch of events; return how many were in hand."""
    return work_off(QUEUE, size=size, service=None, act=lambda claim: _send(claim, post))


def _send(claim: Claim, post: Poster) -> int:
    events = list(Event.objects.filter(pk__in=[item.subject for item in claim.items], state=Event.State.WAITING))
    errands, quiet = _errands(events, claim.at)

    # Told outside any transaction: a slow partner must not hold our rows.
    deadline = time.monotonic() + PATIENCE
    with ThreadPoolExecutor(THREADS, thread_name_prefix="webhooks") as threads:
        told = list(threads.map(lambda errand: _run(errand, post, deadline), errands))

    with claim.settling():
        tries = [attempt for attempts in told for attempt in attempts]
        _write(tries)
        quiet |= _judge(errands, told)
        _go_on(events, {one.event: one.worked for one in tries}, quiet)
    return len(claim.items)


def _errands(events: Sequence[Event], now: datetime) -> tuple[list[Errand], dict[str, float]]:
    """What to tell whom; and the seconds for which the others are left alone."""
    by_partner: defaultdict[str, list[Event]] = defaultdict(list)
    for event in sorted(events, key=lambda event: (event.attempts, event.pk)):
        by_partner[event.partner_id].append(event)
    # Who has left, or has no address any more, may come back within the day.
    quiet = dict.fromkeys(by_partner, float(WAITS[-1]))
    errands = []
    for address in Address.objects.filter(pk__in=list(by_partner), partner__is_active=True):
        if address.quiet_until and address.quiet_until > now:
            quiet[address.pk] = (address.quiet_until - now).total_seconds()
            continue
        del quiet[address.pk]
        letters = [Letter(event.pk, webhooks.webhook_id(event), _body(event)) for event in by_partner[address.pk]]
        errands.append(Errand(address.pk, address.url, keys.live(address.pk, Secret.Use.OUT), letters))
    return errands, quiet


def _body(event: Event) -> bytes:
    said = {"type": event.kind, "timestamp": event.at.astimezone(UTC).isoformat(), "data": webhooks.payload(event)}
    return orjson.dumps(said)


def _run(errand: Errand, post: Poster, deadline: float) -> list[Try]:
    """Tell one partner, until it is ill or the time is over."""
    tries: list[Try] = []
    for letter in errand.letters:
        if time.monotonic() > deadline:
            break
        tries.append(_tell(errand, letter, post))
        if tries[-1].is_ill:
            break
    return tries


def _tell(errand: Errand, letter: Letter, post: Poster) -> Try:
    at, began = datetime.now(UTC), time.monotonic()
    status, reason = None, ""
    try:
        status = post(errand.url, letter.body, signed(letter, errand.secrets, at))
    except Undeliverable as error:
        reason = str(error)
    return Try(letter.event, at, status, reason, round((time.monotonic() - began) * 1000))


def signed(letter: Letter, secrets: Sequence[bytes], at: datetime) -> dict[str, str]:
    """The headers of a letter: a signature by each live secret, so that a partner may change from one to the other."""
    signatures = [Webhook(secret).sign(letter.webhook_id, at, letter.body.decode()) for secret in secrets]
    return {
        "Content-Type": "application/json",
        "User-Agent": "prakerja-webhooks/1",
        "webhook-id": letter.webhook_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def _write(tries: Sequence[Try]) -> None:
    Attempt.objects.bulk_create(
        Attempt(event_id=one.event, at=one.at, status=one.status, reason=one.reason, milliseconds=one.milliseconds)
        for one in tries
    )
    Event.objects.filter(pk__in=[one.event for one in tries]).update(attempts=F("attempts") + 1)
    worked = [one.event for one in tries if one.worked]
    Event.objects.filter(pk__in=worked).update(state=Event.State.DELIVERED, delivered_at=Now())


def _judge(errands: Sequence[Errand], told: Sequence[list[Try]]) -> dict[str, float]:
    """Leave those alone for a while who are ill, and have taken nothing before; return for how many seconds."""
    quiet = {}
    well = [errand.partner for errand, tries in zip(errands, told, strict=True) if any(one.worked for one in tries)]
    Address.objects.filter(pk__in=well).update(failures=0, quiet_until=None)
    for errand, tries in zip(errands, told, strict=True):
        if tries and tries[-1].is_ill and errand.partner not in well:
            address = Address.objects.select_for_update().get(pk=errand.partner)
            wait = _wait(address.failures)
            address.failures += 1
            address.quiet_until = pg.now() + timedelta(seconds=wait)
            address.save(update_fields=["failures", "quiet_until"])
            quiet[errand.partner] = wait
    return quiet


def _go_on(events: Sequence[Event], tried: Mapping[int, bool], quiet: Mapping[str, float]) -> None:
    """What has failed waits, and so does what is for a partner who is left alone; what has been tried for a day is given up."""
    now = pg.now()
    left = [event for event in events if not tried.get(event.pk)]
    over = [event.pk for event in left if event.since <= now - TRIED_FOR]
    Event.objects.filter(pk__in=over).update(state=Event.State.GIVEN_UP)
    waiting: defaultdict[float, list[Item]] = defaultdict(list)
    for event in left:
        if event.since > now - TRIED_FOR:
            waits = [quiet.get(event.partner_id, 0.0), _wait(event.attempts) if event.pk in tried else 0.0]
            waiting[max(waits)].append(Item(event.pk))
    for wait, items in waiting.items():
        # Nobody remembers a hint for longer than a minute; the sweeper does.
        enqueue_items(QUEUE, items, wait=wait, hint=wait <= 60)


def _wait(failures: int) -> float:
    return WAITS[min(failures, len(WAITS) - 1)] * random.uniform(0.9, 1.1)
