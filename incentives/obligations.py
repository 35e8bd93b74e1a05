"""What is owed: opened with the first completed training, a month's incentive for each of four months."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from django.db import connection
from django.utils import timezone

from foundation.pg import array, instants, timestamptz
from foundation.work import Claim, work_off
from incentives import gating, terms
from incentives.terms import ITEMS, TERMS, Terms
from registrations.holding import hold

Clock = Callable[[], datetime]


def open_batch(*, size: int, clock: Clock = timezone.now, rows: Sequence[Terms] = TERMS) -> int:
    """Open the incentives of one batch of people who have completed their first training; return how many were in hand."""
    return work_off("obligations", size=size, service=None, act=lambda claim: _open(claim, clock, rows))


def _open(claim: Claim, clock: Clock, rows: Sequence[Terms]) -> int:
    with claim.settling():
        now = clock()
        open_for({item.subject: item.instant or now for item in claim.items}, at=now, rows=rows)
    return len(claim.items)


def open_for(completions: Mapping[int, datetime], *, at: datetime, rows: Sequence[Terms] = TERMS) -> set[int]:
    """Open the monthly incentives of people who completed their first training at these instants, and see which gate is shut.

    Return for whom they were opened: whoever has them already keeps them as they are. In a transaction.
    """
    held = hold(completions)
    found = gating.gates_of(held)
    opened: set[int] = set()
    by_terms: dict[Terms, dict[int, datetime]] = {}
    for id, completed_at in completions.items():
        if id in found:
            by_terms.setdefault(terms.of(completed_at, rows), {})[id] = completed_at
    for rules, of in by_terms.items():
        opened |= _insert(rules, of, found)
    gating.write_on_obligations({id: gate for id, gate in found.items() if id not in opened})
    gating.write_on_people(found, held, at=at)
    return opened


def _insert(rules: Terms, completions: Mapping[int, datetime], found: Mapping[int, int]) -> set[int]:
    items = list(rules.monthly_items())
    with connection.cursor() as cursor:
        # Months are Jakarta's: who completes on the 31st is paid on the last day of a shorter month.
        cursor.execute(
            f"""
            INSERT INTO incentives_obligation (id, due_at, amount, state, gate, attempt)
            SELECT person.id * {ITEMS} + due.item,
                   (({timestamptz("person.at")} AT TIME ZONE 'Asia/Jakarta') + due.months * interval '1 month')
                       AT TIME ZONE 'Asia/Jakarta',
                   due.rupiah, 1, person.gate, 0
            FROM unnest(%s::bigint[], %s::bigint[], %s::smallint[]) AS person (id, at, gate),
                 unnest(%s::smallint[], %s::smallint[], %s::int[]) AS due (item, months, rupiah)
            ORDER BY 1 ON CONFLICT DO NOTHING RETURNING id / {ITEMS}
            """,
            [
                array(completions),
                instants(completions.values()),
                array(found[id] for id in completions),
                array(due.item for due in items),
                array(due.months for due in items),
                array(due.rupiah for due in items),
            ],
        )
        return {id for (id,) in cursor.fetchall()}
