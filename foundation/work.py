"""Leased work: claimed, not delivered.

PostgreSQL holds what is to be done; Celery messages are only hints that something is. A worker *claims* parcels (their due
time moves to the end of a lease, by the database's clock, and they carry the worker's token), *asks* a service with no
transaction open, and *settles*: in one transaction the parcels go and the outcomes are written, if the token is still there.
A worker that comes late changes nothing; a worker that dies leaves work that falls due again by itself, at its old place in the
queue: it has waited longest.

Trouble outside (`Unavailable`) is waited out for as long as it lasts. An error of our own cuts the claim in two until the one
poison record stands alone; that one is set aside after three attempts, and the rest passes.
"""

import logging
import random
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import orjson
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction

from foundation import pg, services
from foundation.hints import send_hint
from foundation.models import SetAside
from foundation.pg import array, instant
from foundation.sealing import seal, unseal
from foundation.services import Unavailable

log = logging.getLogger(__name__)

#: An error of ours, or the third death of a worker, is not waited out any further than this.
ATTEMPTS_OF_ONE = 3
DEATHS_OF_ONE = 10
#: What has failed so often is asked again in two halves the next time; more often than the second is not counted.
UNKNOWNS_TO_HALVE, UNKNOWNS_COUNTED = 2, 100
#: How long trouble is waited out, in seconds: at first, so many times longer with each try, and at most. It is the breaker that
#: spares a service which is down; when it is back, nobody shall wait for long.
FIRST_WAIT, LONGER, LONGEST_WAIT = 1.0, 1.25, 60.0


class LeaseLost(Exception):
    """The lease ran out and somebody else has the work now: nothing of ours may be written."""


class Item(NamedTuple):
    """One subject's share of a parcel."""

    subject: int
    instant: datetime | None = None
    #: Anything that JSON can say; sealed at rest.
    note: Any = None


def enqueue(
    queue: str,
    subjects: Sequence[int],
    *,
    instants: Sequence[datetime] | None = None,
    notes: Sequence[Any] | None = None,
    wait: float = 0,
    unknowns: int = 0,
    attempts: int = 0,
    hint: bool = True,
) -> None:
    """Put one parcel into a queue, in the caller's transaction; due after `wait` seconds, below 0: since so many.

    `subjects` are ids; `instants` (when each one's work counts as done; without: when it is done) and `notes` (anything
    that JSON can say, sealed at rest) run in parallel to them. Workers get a hint when the parcel falls due, unless `hint`
    is false.
    """
    if not subjects:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO foundation_work (queue, subjects, instants, notes, since, due_at, unknowns, attempts)
            SELECT %s, %s::bigint[], %s::bigint[], %s, due, due, %s, %s
            FROM (SELECT clock_timestamp() + %s * interval '1 s') AS new (due)
            """,
            [
                queue,
                array(subjects),
                None if instants is None else pg.instants(instants),
                None if notes is None else _sealed(queue, notes),
                unknowns,
                attempts,
                wait,
            ],
        )
    if hint:
        transaction.on_commit(lambda: send_hint(queue, after=max(wait, 0)))


def enqueue_items(queue: str, items: Sequence[Item], **options: Any) -> None:
    """`enqueue`, for items as a claim holds them."""
    if not items:
        return
    subjects, instants, notes = zip(*items, strict=True)
    enqueue(
        queue,
        subjects,
        instants=None if None in instants else instants,
        notes=None if None in notes else notes,
        **options,
    )


@dataclass(slots=True)
class Claim:
    """What one worker has in hand: items of one queue, under one token, until the lease runs out."""

    queue: str
    token: UUID
    items: list[Item]
    #: The database's clock when the claim was made.
    at: datetime
    #: For how many seconds the oldest of it had waited then.
    waited: float
    attempts: int
    unknowns: int

    @classmethod
    def take(cls, queue: str, *, size: int) -> "Claim | None":
        """Lease what is due, oldest first, up to `size` items; None when nothing is due.

        A parcel that has failed before is claimed alone, so that it takes nobody down with it; that a service has once known
        nothing of it does not count, for after an outage that is true of many small ones.
        """
        token = uuid4()
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                """
                WITH due AS MATERIALIZED (
                    SELECT id, since, cardinality(subjects) AS items, attempts > 0 OR unknowns >= %s AS failed
                    FROM foundation_work
                    WHERE queue = %s AND since <= statement_timestamp() AND due_at <= statement_timestamp()
                    ORDER BY since, id LIMIT 200
                    FOR UPDATE SKIP LOCKED
                ), ranked AS (
                    SELECT id, items, failed,
                           sum(items) OVER (ORDER BY since, id) AS upto,
                           row_number() OVER (ORDER BY since, id) = 1 AS first,
                           first_value(failed) OVER (ORDER BY since, id) AS alone
                    FROM due
                )
                UPDATE foundation_work work
                SET token = %s, attempts = work.attempts + 1, due_at = clock_timestamp() + %s * interval '1 s'
                FROM ranked
                WHERE work.id = ranked.id AND (first OR (upto <= %s AND NOT failed AND NOT alone))
                RETURNING work.subjects, work.instants, work.notes, work.attempts, work.unknowns, clock_timestamp(),
                          extract(epoch FROM clock_timestamp() - work.since)::float
                """,
                [UNKNOWNS_TO_HALVE, queue, token, settings.LEASE_SECONDS, size],
            )
            rows = cursor.fetchall()
            if not rows:
                return None
            items = [item for subjects, instants, notes, *_ in rows for item in _items(queue, subjects, instants, notes)]
            unknowns = min(max(row[4] for row in rows), UNKNOWNS_COUNTED)
            waited = max(row[6] for row in rows)
            claim = cls(queue, token, items, at=rows[0][5], waited=waited, attempts=rows[0][3], unknowns=unknowns)
            if len(items) > size:
                # It keeps its place: the oldest first, however small the bites.
                enqueue_items(queue, items[size:], wait=-waited, unknowns=claim.unknowns, attempts=claim.attempts - 1)
                claim.hold(items[:size])
        return claim

    def _drop_parcels(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                """
                WITH mine AS (DELETE FROM foundation_work WHERE token = %s RETURNING cardinality(subjects) AS items)
                SELECT coalesce(sum(items), 0) FROM mine
                """,
                [self.token],
            )
            if cursor.fetchone()[0] != len(self.items):
                raise LeaseLost

    def of(self, subjects: Container[int]) -> list[Item]:
        """The items of these subjects, one each: of a subject that stands in two parcels, the later one."""
        return list({item.subject: item for item in self.items if item.subject in subjects}.values())

    @contextmanager
    def settling(self) -> Iterator[None]:
        """One transaction in which the claim's work goes and its outcomes are written. Raises `LeaseLost`."""
        with transaction.atomic():
            self._drop_parcels()
            yield

    def hold(self, items: Sequence[Item]) -> None:
        """Have these items in hand instead: who takes the work over, should we die, finds them. Raises `LeaseLost`.

        In a transaction of the caller's, it comes last: what is rolled back afterwards, the claim would not know of.
        """
        with transaction.atomic():
            self._drop_parcels()
            if items:
                enqueue_items(self.queue, items, unknowns=self.unknowns, attempts=self.attempts, hint=False)
                with connection.cursor() as cursor:
                    cursor.execute(
                        """
                        UPDATE foundation_work
                        SET token = %s, since = %s - %s * interval '1 s', due_at = clock_timestamp() + %s * interval '1 s'
                        WHERE id = currval('foundation_work_id_seq')
                        """,
                        [self.token, self.at, self.waited, settings.LEASE_SECONDS],
                    )
        self.items = list(items)

    def again(self, items: Sequence[Item]) -> None:
        """Inside `settling`: these items got no answer; they are asked again later."""
        for part in self._parts(items):
            enqueue_items(self.queue, part, unknowns=self.unknowns + 1, wait=_wait(self.unknowns))

    def put_back(self, *, after: float | None = None, probe: bool = False) -> None:
        """The service knew nothing of any item: all of it is asked again later.

        That a `probe` failed says nothing against its item: nobody else would have been answered.
        """
        wait = _wait(self.unknowns) if after is None else after
        with self.settling():
            for part in self._parts(self.items):
                enqueue_items(self.queue, part, unknowns=self.unknowns + (not probe), wait=wait)

    def _parts(self, items: Sequence[Item]) -> list[Sequence[Item]]:
        """The items as parcels: in two halves when they have failed often, for it may be one of them that makes the service
        stumble. Not at once: of a service that is ill, each failure would leave smaller batches and so more calls.
        """
        return _halves(items) if self.unknowns >= UNKNOWNS_TO_HALVE else [items] if items else []

    def isolate(self, reason: str, set_aside: Callable[[Sequence[int]], None]) -> None:
        """An error of ours: cut the claim in two, or set its only item aside when it has failed often enough."""
        with self.settling():
            if len(self.items) > 1:
                for half in _halves(self.items):
                    enqueue_items(self.queue, half, unknowns=self.unknowns, attempts=1)
            elif self.attempts < ATTEMPTS_OF_ONE:
                enqueue_items(self.queue, self.items, unknowns=self.unknowns, attempts=self.attempts, wait=FIRST_WAIT)
            else:
                self._set_aside(reason, set_aside)

    def _set_aside(self, reason: str, set_aside: Callable[[Sequence[int]], None]) -> None:
        [item] = self.items
        note = None if item.note is None else _sealed(self.queue, item.note)
        SetAside.objects.create(queue=self.queue, subject=item.subject, instant=item.instant, note=note, reason=reason[:100])
        set_aside([item.subject])
        log.error("%s of subject %s set aside: %s", self.queue, item.subject, reason)


def work_off(
    queue: str,
    *,
    size: int,
    service: str | None,
    act: Callable[[Claim], int],
    set_aside: Callable[[Sequence[int]], None] = lambda subjects: None,
) -> int:
    """Claim one batch of up to `size` items and let `act` ask and settle; return how many items were in hand.

    `act` returns about how many items it has asked the service.

    With a `service`, no more is claimed than its breaker and its quota allow now.
    """
    allowed, is_probe, is_short = services.admit(service, size) if service else (size, False, False)
    if is_short:
        send_hint(queue, after=services.QUOTA_SECONDS)
    claim = Claim.take(queue, size=allowed) if allowed else None
    if service and allowed:
        services.give_back(service, allowed - (len(claim.items) if claim else 0))
    if not claim:
        return 0
    if claim.attempts > ATTEMPTS_OF_ONE and _take_apart(claim, set_aside):
        return len(claim.items)
    try:
        if act(claim) and service:
            services.worked(service, probe=is_probe)
    except Unavailable as trouble:
        if service:
            services.failed(service, retry_after=trouble.retry_after)
            send_hint(queue, after=services.PROBE_SECONDS)  # others, who are due already, may be waiting for the probe
        claim.put_back(after=trouble.retry_after, probe=is_probe)
    except LeaseLost:
        log.warning("%s: the lease ran out before %s items were settled", queue, len(claim.items))
    except (OperationalError, InterfaceError):
        raise  # the database went away or chose us as a deadlock's victim: the lease gives the work back
    except Exception as error:
        # The type only: an error's text may quote personal data.
        log.error("%s: %s in a batch of %s", queue, type(error).__qualname__, len(claim.items))
        claim.isolate(type(error).__qualname__, set_aside)
    return len(claim.items)


def _take_apart(claim: Claim, set_aside: Callable[[Sequence[int]], None]) -> bool:
    """Whether the claim, whose workers keep dying, was cut into pieces (or set aside) instead of being tried again."""
    if len(claim.items) == 1 and claim.attempts <= DEATHS_OF_ONE:
        return False
    with claim.settling():
        if len(claim.items) == 1:
            claim._set_aside("WorkerDied", set_aside)
        step = -(-len(claim.items) // 10)
        for start in range(0, len(claim.items) if len(claim.items) > 1 else 0, step):
            enqueue_items(claim.queue, claim.items[start : start + step], attempts=ATTEMPTS_OF_ONE - 1)
    return True


def _items(queue: str, subjects: list[int], instants: list[int] | None, notes: memoryview | None) -> Iterator[Item]:
    nothing = [None] * len(subjects)
    whens = nothing if instants is None else map(instant, instants)
    return map(Item._make, zip(subjects, whens, nothing if notes is None else _unsealed(queue, notes), strict=True))


def _sealed(queue: str, note: Any) -> bytes:
    return seal(orjson.dumps(note, default=tuple), b"work:" + queue.encode())


def _unsealed(queue: str, sealed: bytes | memoryview) -> Any:
    return orjson.loads(unseal(sealed, b"work:" + queue.encode()))


def _halves(items: Sequence[Item]) -> list[Sequence[Item]]:
    middle = len(items) // 2
    return [half for half in (items[:middle], items[middle:]) if half]


def _wait(unknowns: int) -> float:
    """Seconds until the next try: longer each time, with jitter so that a returning service is not stormed."""
    longest = min(LONGEST_WAIT, FIRST_WAIT * LONGER**unknowns)
    return random.uniform(longest / 2, longest)


def sweep() -> list[str]:
    """Hint at every queue that has work due; return those queues. For lost hints, erased brokers and dead workers."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT DISTINCT queue FROM foundation_work
            WHERE since <= statement_timestamp() AND due_at <= statement_timestamp() ORDER BY queue
            """
        )
        queues = [queue for (queue,) in cursor.fetchall()]
    for queue in queues:
        send_hint(queue)
    return queues


def outstanding(queues: Sequence[str]) -> int:
    """How many items wait or are in hand in these queues."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(cardinality(subjects)), 0) FROM foundation_work WHERE queue = ANY(%s)", [list(queues)]
        )
        return int(cursor.fetchone()[0])


def retry_set_aside(queue: str, subjects: Sequence[int]) -> int:
    """Put set-aside subjects back to work, once their cause is gone; return how many."""
    with transaction.atomic():
        rows = list(SetAside.objects.select_for_update().filter(queue=queue, subject__in=subjects))
        for row in rows:
            note = None if row.note is None else _unsealed(queue, row.note)
            enqueue_items(queue, [Item(row.subject, row.instant, note)])
        SetAside.objects.filter(pk__in=[row.pk for row in rows]).delete()
    return len(rows)


class Head(NamedTuple):
    """The parcel that is next in a queue."""

    id: int
    #: For how many seconds anybody could have taken it, by the database's clock.
    due_for: float


def heads(queues: Sequence[str]) -> dict[str, Head]:
    """The head of each of these queues that has work due.

    Claims take the oldest first, so a head that stays the same is work that nobody takes; under a backlog it is old, but
    always another one.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT queue, head.id, extract(epoch FROM statement_timestamp() - head.due_at)::float
            FROM unnest(%s::text[]) queue CROSS JOIN LATERAL (
                SELECT id, due_at FROM foundation_work work
                WHERE work.queue = queue.queue AND since <= statement_timestamp() AND due_at <= statement_timestamp()
                ORDER BY since, id LIMIT 1
            ) head
            """,
            [list(queues)],
        )
        return {queue: Head(id, due_for) for queue, id, due_for in cursor.fetchall()}
