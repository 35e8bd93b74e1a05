"""What the office looks at: where the money stands, and who must act to get it moving. From the books, so at once and exact."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from django.db import connection
from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from foundation.pg import array
from incentives import ledger
from incentives.gates import Actor, Gate
from incentives.ledger import Sum
from incentives.models import UNPAID, Payout, State
from incentives.terms import ITEMS


class Blocked(NamedTuple):
    """What waits behind one gate."""

    gate: Gate
    who: Actor
    people: int
    rupiah: int
    obligations: int


class ByState(NamedTuple):
    state: State
    people: int
    rupiah: int
    obligations: int


def blocked(books: ledger.Books | None = None) -> list[Blocked]:
    """A line per gate that is shut for somebody, in the order in which gates are told."""
    books = books or ledger.read()
    lines = []
    for gate in Gate:
        if gate.who and (people := books.people_by_gate.get(gate, 0)):
            sum = books.behind(gate)
            lines.append(Blocked(gate, gate.who, people, sum.rupiah, sum.obligations))
    return lines


def states(books: ledger.Books | None = None) -> list[ByState]:
    """A line per state, empty ones too: each rupiah is in exactly one."""
    books = books or ledger.read()
    return [ByState(state, books.people_by_state.get(state, 0), *reversed(books.of(state))) for state in State]


def by_payer() -> dict[str, dict[State, Sum]]:
    """All that is or was owed, by payer and state: of what is open, the payer of the account; else of the last attempt.

    Under "" stands what is open for people without an account. The sums are those of the books; this reads every obligation, which
    takes a second or two for millions.
    """
    found: dict[str, dict[State, Sum]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT coalesce(payer, ''), state, count(*), sum(amount)::bigint FROM (
                SELECT account.payer, obligation.state, obligation.amount FROM incentives_obligation obligation
                LEFT JOIN incentives_account account
                    ON account.registrant_id = obligation.id / {ITEMS} AND account.ended_at IS NULL
                WHERE obligation.state = {State.OPEN}
                UNION ALL
                SELECT batch.payer, obligation.state, obligation.amount FROM incentives_obligation obligation
                JOIN incentives_batch batch ON batch.id = obligation.batch_id
                WHERE obligation.state IN ({State.SENDING}, {State.UNKNOWN}, {State.PAID})
                UNION ALL
                SELECT batch.payer, obligation.state, obligation.amount FROM incentives_obligation obligation
                CROSS JOIN LATERAL (
                    SELECT payout.batch_id FROM incentives_payout payout
                    WHERE payout.obligation_id = obligation.id AND payout.state < {Payout.State.PROPOSED}
                    ORDER BY payout.attempt DESC LIMIT 1
                ) AS last JOIN incentives_batch batch ON batch.id = last.batch_id
                WHERE obligation.state IN ({State.REVERSED}, {State.FAILED})
            ) AS owed GROUP BY 1, 2
            """
        )
        for payer, state, obligations, rupiah in cursor.fetchall():
            found.setdefault(payer, {})[State(state)] = Sum(obligations, rupiah)
    return found


class Wait(TextChoices):
    """What money waits for that is due and behind no gate."""

    SETTLING = "settling", _("Left over with a payer")
    CHECK = "check", _("Account not checked yet")
    BATCH = "batch", _("In no batch yet")

    @property
    def who(self) -> Actor:
        """Who must act."""
        return Actor.PAYER if self is Wait.CHECK else Actor.OFFICE


class Due(NamedTuple):
    wait: Wait
    people: int
    rupiah: int
    obligations: int


def due(*, at: datetime) -> list[Due]:
    """A line per thing that money waits for which is due then, behind no gate and in no batch; empty ones too.

    This reads what is due, row by row.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT wait, count(DISTINCT id / {ITEMS}), sum(amount)::bigint, count(*) FROM (
                SELECT obligation.id, obligation.amount, CASE
                    WHEN EXISTS (
                        SELECT 1 FROM incentives_leftover leftover
                        WHERE leftover.obligation_id = obligation.id AND leftover.settled_at IS NULL
                    ) THEN '{Wait.SETTLING.value}'
                    WHEN account.checked_at IS NULL THEN '{Wait.CHECK.value}' ELSE '{Wait.BATCH.value}' END AS wait
                FROM incentives_obligation obligation JOIN incentives_account account
                    ON account.registrant_id = obligation.id / {ITEMS} AND account.ended_at IS NULL
                WHERE obligation.state IN ({", ".join(str(state.value) for state in UNPAID)}) AND obligation.gate = 0
                  AND obligation.batch_id IS NULL AND obligation.due_at <= %s
            ) AS waiting GROUP BY 1
            """,
            [at],
        )
        found = {row[0]: row[1:] for row in cursor.fetchall()}
    return [Due(wait, *found.get(wait.value, (0, 0, 0))) for wait in Wait]


def of_batches(ids: Iterable[int]) -> dict[int, dict[Payout.State, Sum]]:
    """How far these batches are: their payouts and rupiah by state."""
    found: dict[int, dict[Payout.State, Sum]] = {id: {} for id in ids}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT batch_id, state, count(*), sum(amount)::bigint FROM incentives_payout
            WHERE batch_id = ANY (%s::int[]) GROUP BY 1, 2
            """,
            [array(found)],
        )
        for batch_id, state, payouts, rupiah in cursor.fetchall():
            found[batch_id][Payout.State(state)] = Sum(payouts, rupiah)
    return found
