"""Several SMS providers behind one gateway: who is ill is left for a while, and what it does not take goes to the next.

What is known of a provider's health is shared by all workers, in PostgreSQL. A provider is left when its breaker opens (ten
calls in a row without an answer, or the provider asks us to wait), after 50 messages without an answer within a minute, and
when too little of what it accepted is delivered. It is tried with one message every ten seconds, and used again when that one
is taken; or, if it was left for what did not arrive, when enough of those messages arrive. When all have been left, those
that err but are not down are used all the same.

Who was asked and gave no answer may have sent the message: docs/decisions/0010-sms-failover.md tells who is asked next.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from zlib import crc32

from django.conf import settings
from django.db import connection

from foundation import services
from foundation.pg import array
from foundation.services import Unavailable, build
from foundation.sms import Delivery, Sms, SmsGateway

log = logging.getLogger(__name__)

#: So many messages without an answer within so many seconds, and the provider is left.
ERRORS_TO_LEAVE, ERROR_SECONDS = 50, 60
#: A receipt is due so many seconds after the message was accepted.
RECEIPT_SECONDS = 120
#: The share of the receipts due below which a provider is left: over the newest minute of them, and at least so many.
WORST_RATIO, FEWEST_TO_JUDGE, JUDGED_SECONDS, JUDGED_AT_MOST_SECONDS = 0.85, 50, 60, 3600
#: So many messages must arrive before a provider that was left for what did not arrive is used again.
ARRIVALS_TO_RETURN = 5
SLOT_SECONDS = 10
#: No further provider is begun with after so many seconds: it must be done before the lease runs out.
PATIENCE = 15.0


class Count(NamedTuple):
    """So many messages, accepted by a provider at about the same time, and how many of just these were delivered."""

    provider: int
    accepted_at: datetime
    accepted: int
    delivered: int


class _Provider(NamedTuple):
    gateway: SmsGateway
    name: str
    rate: float | None
    weight: int
    sends_receipts: bool


class _Health(NamedTuple):
    #: Left: only a probe may go.
    is_open: bool = False
    awaits_receipts: bool = False
    #: Its last calls got no answer: so many that its breaker is open, or at least one.
    is_down: bool = False
    fails: bool = False
    #: Left for messages without an answer, while others got one.
    errs: bool = False


class Failover:
    """A gateway of several `providers`: configurations of services, each with `BACKEND`, `OPTIONS` and `RATE`.

    Messages go to the first one that is well; with a `WEIGHT`, they are shared out by it, and who has none only stands in.
    `RECEIPTS: False` says that a provider sends no delivery receipts, and is not to be judged by them. Providers are known by
    their number, from 1: a new one comes last.
    """

    def __init__(self, providers: Sequence[Mapping[str, Any]], *, name: str = "sms") -> None:
        if len(providers) < 2:
            raise ValueError("a failover needs two providers")
        self._providers = {
            number: _Provider(
                build(dict(config)),
                f"{name}.{number}",
                config.get("RATE"),
                config.get("WEIGHT", 0),
                config.get("RECEIPTS", True),
            )
            for number, config in enumerate(providers, start=1)
        }
        #: Each provider's number, as often as its weight says.
        self._lots = [number for number, provider in self._providers.items() for _ in range(provider.weight)]

    def send(self, messages: Sequence[Sms]) -> list[Delivery]:
        return self.carry(messages)[0]

    def carry(
        self, messages: Sequence[Sms], *, first: Mapping[str, int] = {}, last: Mapping[str, int] = {}
    ) -> tuple[list[Delivery], list[int]]:
        """Send the messages; one outcome and one provider's number per message, in order.

        The number of an unknown outcome is that of who may have sent the message; 0: nobody has. `first` and `last` tell by
        reference who is to be asked before or after all others. Raises `Unavailable` when nobody has done anything.
        """
        answers, carriers = [Delivery.UNKNOWN] * len(messages), [0] * len(messages)
        waiting = [
            (index, self._order(message.reference, first.get(message.reference), last.get(message.reference)))
            for index, message in enumerate(messages)
        ]
        health = self._health() if messages else {}
        end, asked = time.monotonic() + PATIENCE, False
        while waiting:
            groups: dict[int, list[tuple[int, list[int]]]] = {}
            for index, order in waiting:
                groups.setdefault(order[0], []).append((index, order[1:]))
            waiting = []
            for number, group in sorted(groups.items()):
                if time.monotonic() > end:
                    continue
                provider, known = self._providers[number], health[number]
                admitted = _admitted(provider, known, len(group))
                batch, not_taken = [index for index, _ in group[:admitted]], group[admitted:]
                asked = asked or bool(batch)
                given = _ask(provider, known, [messages[index] for index in batch]) if batch else []
                if given is None:
                    not_taken = group
                else:
                    for index, answer in zip(batch, given, strict=True):
                        answers[index], carriers[index] = answer, number
                waiting += [(index, order) for index, order in not_taken if order]
        if messages and not any(carriers):
            # Asked nobody although somebody is well: all quotas are used up, and a moment is enough.
            over_quota = not asked and not all(known.is_open for known in health.values())
            raise Unavailable("no provider has taken anything", retry_after=1.0 if over_quota else None, untouched=True)
        return answers, carriers

    def _order(self, reference: str, first: int | None, last: int | None) -> list[int]:
        """Whom to ask, one after the other; the same for the same reference."""
        order = list(self._providers)
        if self._lots:
            lot = self._lots[crc32(reference.encode()) % len(self._lots)]
            order.sort(key=lambda number: number != lot)
        if first or last:
            order.sort(key=lambda number: (number == last) - (number == first))
        return order

    def _health(self) -> dict[int, _Health]:
        if settings.SMS_RECEIPT_SECRETS:
            for provider in self._providers.values():
                if provider.sends_receipts:
                    _judge(provider.name)
        with connection.cursor() as cursor:
            cursor.execute(
                """
                SELECT name, probe_at IS NOT NULL, awaits_receipts, failures >= %s, failures > 0,
                       errors >= %s AND probe_at IS NOT NULL
                FROM foundation_servicestate WHERE name = ANY(%s)
                """,
                [
                    services.FAILURES_TO_OPEN,
                    ERRORS_TO_LEAVE,
                    [provider.name for provider in self._providers.values()],
                ],
            )
            rows = {name: _Health(*state) for name, *state in cursor.fetchall()}
        health = {number: rows.get(provider.name, _Health()) for number, provider in self._providers.items()}
        if all(known.is_open for known in health.values()):
            # Better one that answers now and then than nobody, or one of whom too little is heard: it may be we who do not
            # get the receipts.
            health = {
                number: known._replace(
                    is_open=not (known.errs or (known.awaits_receipts and not known.fails)) or known.is_down
                )
                for number, known in health.items()
            }
        return health


def _admitted(provider: _Provider, known: _Health, wanted: int) -> int:
    if known.is_open:
        wanted = services.let_through(provider.name, wanted, probe=known.errs).records
    return services.within_quota(provider.name, wanted, provider.rate)


def _ask(provider: _Provider, known: _Health, messages: Sequence[Sms]) -> list[Delivery] | None:
    """The provider's answers; None when it has certainly done nothing."""
    try:
        given = provider.gateway.send(messages)
    except Unavailable as trouble:
        if trouble.retry_after is not None:
            _forget_errors(provider.name)
        services.failed(provider.name, retry_after=trouble.retry_after)
        if trouble.retry_after is None:
            _count_errors(provider.name, len(messages))
        return None if trouble.untouched else [Delivery.UNKNOWN] * len(messages)
    unknown = sum(answer is Delivery.UNKNOWN for answer in given)
    if (known.fails or known.errs) and unknown < len(given):
        with connection.cursor() as cursor:
            # Who goes on with a batch that was begun before the provider was left does not bring it back; but while all have
            # been left and it is used all the same, what it takes breaks the row of its failures.
            cursor.execute(
                """
                UPDATE foundation_servicestate
                SET failures = 0, errors = CASE WHEN probe_at IS NULL OR %(probe)s THEN 0 ELSE errors END,
                    probe_at = CASE WHEN awaits_receipts OR NOT %(probe)s THEN probe_at END
                WHERE name = %(name)s AND (probe_at IS NULL OR %(probe)s OR failures < %(limit)s)
                """,
                {"name": provider.name, "probe": known.is_open, "limit": services.FAILURES_TO_OPEN},
            )
    if unknown:
        _count_errors(provider.name, unknown)
    return given


def _count_errors(name: str, errors: int) -> None:
    """So many messages got no answer: with the 50th within a minute the provider is left."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO foundation_servicestate AS state (name, errors) VALUES (%s, %s)
            ON CONFLICT (name) DO UPDATE SET
                errors = excluded.errors + CASE WHEN state.errors_since > clock_timestamp() - %s * interval '1 s'
                    THEN state.errors ELSE 0 END,
                errors_since = CASE WHEN state.errors_since > clock_timestamp() - %s * interval '1 s'
                    THEN state.errors_since ELSE clock_timestamp() END
            RETURNING errors
            """,
            [name, errors, ERROR_SECONDS, ERROR_SECONDS],
        )
        if cursor.fetchone()[0] >= ERRORS_TO_LEAVE:
            cursor.execute(
                """
                UPDATE foundation_servicestate
                SET probe_at = greatest(probe_at, clock_timestamp() + %s * interval '1 s') WHERE name = %s
                """,
                [services.PROBE_SECONDS, name],
            )
            log.warning("%s is left: %s messages without an answer within a minute", name, ERRORS_TO_LEAVE)


def _forget_errors(name: str) -> None:
    """Who asks us to wait is alive, and is given that time: who was left for errors, that time instead."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE foundation_servicestate
            SET errors = 0, probe_at = CASE WHEN errors < %s OR failures >= %s OR awaits_receipts THEN probe_at END
            WHERE name = %s AND errors > 0
            """,
            [ERRORS_TO_LEAVE, services.FAILURES_TO_OPEN, name],
        )


def _judge(name: str) -> None:
    """Leave the provider when too little of what it accepted arrives; use it again when enough of the probes do."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH state AS (
                SELECT awaits_receipts, greatest(judged_since, clock_timestamp() - %(at_most)s * interval '1 s') AS since
                FROM (SELECT 1) one LEFT JOIN foundation_servicestate ON name = %(name)s
            ), slots AS (
                SELECT slot, accepted, delivered, slot <= clock_timestamp() - %(due)s * interval '1 s' AS due
                FROM foundation_carriage, state WHERE provider = %(name)s AND slot >= since
            ), newest AS (
                SELECT accepted, delivered FROM (
                    SELECT *, sum(accepted) OVER (ORDER BY slot DESC) - accepted AS newer FROM slots WHERE due
                ) counted
                WHERE newer < %(fewest)s OR slot > clock_timestamp() - (%(due)s + %(judged)s) * interval '1 s'
            ), probes AS (
                SELECT CASE WHEN due THEN accepted ELSE least(accepted, delivered) END AS accepted, delivered FROM slots
                WHERE slot > clock_timestamp() - (%(due)s + %(judged)s) * interval '1 s'
            )
            SELECT coalesce(awaits_receipts, false),
                (SELECT sum(accepted) >= %(fewest)s AND sum(delivered) < %(worst)s * sum(accepted) FROM newest),
                (SELECT sum(delivered) >= %(arrivals)s AND sum(delivered) >= %(worst)s * sum(accepted) FROM probes)
            FROM state
            """,
            {
                "name": name,
                "at_most": JUDGED_AT_MOST_SECONDS,
                "due": RECEIPT_SECONDS + SLOT_SECONDS,
                "fewest": FEWEST_TO_JUDGE,
                "judged": JUDGED_SECONDS,
                "worst": WORST_RATIO,
                "arrivals": ARRIVALS_TO_RETURN,
            },
        )
        awaits, is_bad, is_well = cursor.fetchone()
        if awaits and is_well:
            cursor.execute(
                f"""
                UPDATE foundation_servicestate
                SET awaits_receipts = false, judged_since = {_NEXT_SLOT},
                    probe_at = CASE WHEN failures > 0 THEN probe_at END
                WHERE name = %s AND awaits_receipts
                """,
                [name],
            )
            log.warning("%s is used again: its messages arrive", name)
        elif is_bad and not awaits:
            cursor.execute(
                f"""
                INSERT INTO foundation_servicestate AS state (name, awaits_receipts, judged_since, probe_at)
                VALUES (%s, true, {_NEXT_SLOT}, clock_timestamp() + %s * interval '1 s')
                ON CONFLICT (name) DO UPDATE SET
                    awaits_receipts = true, judged_since = excluded.judged_since,
                    probe_at = greatest(state.probe_at, excluded.probe_at)
                WHERE NOT state.awaits_receipts
                """,
                [name, services.PROBE_SECONDS],
            )
            log.warning("%s is left: less than %s %% of its messages arrive", name, round(100 * WORST_RATIO))


_SLOT = f"date_bin(interval '{SLOT_SECONDS} s', {{}}, timestamptz '2020-01-01 00:00Z')"
_NEXT_SLOT = _SLOT.format(f"clock_timestamp() + interval '{SLOT_SECONDS} s'")


def tally(counts: Sequence[Count], *, name: str = "sms") -> None:
    """Add to what the providers have accepted and delivered; number 0 is that of an only gateway. What is a day old goes."""
    if not counts:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO foundation_carriage AS total (slot, provider, accepted, delivered)
            SELECT {_SLOT.format("at")} AS slot, %s || '.' || number AS provider, sum(accepted), sum(delivered)
            FROM unnest(%s::int[], %s::timestamptz[], %s::int[], %s::int[]) AS new (number, at, accepted, delivered)
            WHERE at > clock_timestamp() - interval '1 day'
            GROUP BY 1, 2 ORDER BY 1, 2
            ON CONFLICT (slot, provider) DO UPDATE
            SET accepted = total.accepted + excluded.accepted, delivered = total.delivered + excluded.delivered
            """,
            [name, *(array(column) for column in zip(*counts, strict=True))],
        )
        cursor.execute("DELETE FROM foundation_carriage WHERE slot < clock_timestamp() - interval '1 day'")
