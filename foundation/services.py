"""Services are pluggable, as Django's own back ends are; a breaker and a quota that all workers share.

`SERVICES = {"sms": {"BACKEND": "dotted.path.Class", "OPTIONS": {...}, "RATE": 100}}`: `RATE` is what the service allows,
in records per second (none: no bound). What a service must be able to do is a Protocol in the module of its kind.
"""

import os
from functools import cache
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection
from django.utils.module_loading import import_string

from foundation.models import ServiceState

#: So many failures in a row open the breaker; then one probe is let through every so many seconds. Of a service that fails
#: every third time, ten in a row are rare, and those that work are worth more than the calls that do not.
FAILURES_TO_OPEN = 10
PROBE_SECONDS = 10.0
#: A quota that is used up fills up for so long before anybody is asked again: else each call would be of a few records.
QUOTA_SECONDS = 0.5


class Unavailable(Exception):
    """The service gave no answer: time-out, refusal, nonsense. What we asked stays unknown; it is never a "no"."""

    def __init__(self, reason: str = "", *, retry_after: float | None = None, untouched: bool = False) -> None:
        super().__init__(reason)
        #: Seconds that the service wants us to wait, if it said so.
        self.retry_after = retry_after
        #: Whether it is certain that the service has done nothing of what it was asked: another may be asked at once.
        self.untouched = untouched


@cache
def get(name: str) -> Any:
    """The service of this name as `settings.SERVICES` configures it, one object a process."""
    return build(settings.SERVICES[name])


#: A forked process has no threads of a client that its parent has built.
os.register_at_fork(after_in_child=get.cache_clear)


def build(config: dict[str, Any]) -> Any:
    return import_string(config["BACKEND"])(**config.get("OPTIONS", {}))


class Admitted(NamedTuple):
    """How many records a service may be asked now."""

    records: int
    #: It is the one that an open breaker lets through.
    is_probe: bool = False
    #: There are none because the quota is used up: in `QUOTA_SECONDS` there are some again.
    is_short: bool = False


def admit(name: str, wanted: int) -> Admitted:
    """How many of `wanted` records the service may be asked now: all, as many as the quota has left, one as a probe, or none."""
    let = let_through(name, wanted)
    left = within_quota(name, let.records, settings.SERVICES[name].get("RATE"))
    return let._replace(records=left, is_short=left == 0 < let.records)


def let_through(name: str, wanted: int, *, probe: bool = False) -> Admitted:
    """How many the breaker lets through: all, one as a probe, or none.

    After the time that a service named, all may go; with `probe`, then too only one.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM foundation_servicestate WHERE name = %s AND probe_at IS NOT NULL", [name])
        if not cursor.fetchone():
            return Admitted(wanted)
        cursor.execute(
            """
            UPDATE foundation_servicestate
            SET probe_at = CASE WHEN failures >= %s OR awaits_receipts OR %s THEN clock_timestamp() + %s * interval '1 s' END
            WHERE name = %s AND probe_at <= clock_timestamp() RETURNING probe_at IS NOT NULL
            """,
            [FAILURES_TO_OPEN, probe, PROBE_SECONDS, name],
        )
        match cursor.fetchone():
            case None:
                return Admitted(0)
            case (True,):
                return Admitted(min(wanted, 1), is_probe=True)
            case _:
                return Admitted(wanted)


def within_quota(name: str, wanted: int, rate: float | None) -> int:
    """How many a quota of `rate` records a second has left for us, of `wanted`; they are taken from it.

    None before there are enough for a batch that is worth a call: those of `QUOTA_SECONDS`.
    """
    if rate is None or not wanted:
        return wanted
    with connection.cursor() as cursor:
        ServiceState.objects.get_or_create(name=name)
        cursor.execute(
            """
            WITH now AS (
                SELECT name, least(%(most)s, tokens + %(rate)s * extract(epoch FROM clock_timestamp() - refilled_at)) AS tokens
                FROM foundation_servicestate WHERE name = %(name)s FOR UPDATE
            ), taken AS (
                SELECT name, tokens, least(%(wanted)s, floor(tokens))
                    * (tokens >= least(%(wanted)s, %(most)s * %(worth)s))::int AS records FROM now
            )
            UPDATE foundation_servicestate state
            SET tokens = taken.tokens - taken.records, refilled_at = clock_timestamp()
            FROM taken WHERE state.name = taken.name
            RETURNING taken.records
            """,
            {"most": max(rate, 1.0), "worth": QUOTA_SECONDS, "rate": rate, "name": name, "wanted": wanted},
        )
        return int(cursor.fetchone()[0])


def give_back(name: str, unused: int) -> None:
    """Return admitted records that there was nothing to ask about."""
    if unused > 0 and settings.SERVICES[name].get("RATE") is not None:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE foundation_servicestate SET tokens = tokens + %s WHERE name = %s", [unused, name])


def worked(name: str, *, probe: bool) -> None:
    """The service answered: the breaker closes. A call that was begun before it opened, and was no `probe`, says nothing now."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE foundation_servicestate SET failures = 0, probe_at = NULL
            WHERE name = %s AND failures > 0 AND (probe_at IS NULL OR %s)
            """,
            [name, probe],
        )


def failed(name: str, *, retry_after: float | None = None) -> None:
    """The service gave no answer: after ten times in a row, or when it names a time to wait, the breaker opens.

    Who else hears of a shorter time does not shorten it.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO foundation_servicestate AS state (name, failures, probe_at)
            VALUES (%(name)s, 1, clock_timestamp() + %(asked)s::float * interval '1 s')
            ON CONFLICT (name) DO UPDATE SET failures = state.failures + 1, probe_at = greatest(state.probe_at, CASE
                WHEN %(asked)s IS NOT NULL THEN clock_timestamp() + %(asked)s::float * interval '1 s'
                WHEN state.failures + 1 >= %(limit)s THEN clock_timestamp() + %(probe)s * interval '1 s' END)
            """,
            {"name": name, "asked": retry_after, "limit": FAILURES_TO_OPEN, "probe": PROBE_SECONDS},
        )
