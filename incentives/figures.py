"""What the office looks at: where the money stands, and who must act to get it moving. From the books, so at once and exact."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Case, Count, Exists, F, OuterRef, Q, QuerySet, TextChoices, Value, When
from django.db.models import Sum as Total
from django.db.models.functions import Mod
from django.utils.translation import gettext_lazy as _

from foundation.pg import array
from incentives import checking, ledger, terms
from incentives.gates import Actor, Gate
from incentives.ledger import Sum
from incentives.models import IS_SURVEY, UNPAID, Obligation, Payout, State
from incentives.terms import FIRST_SURVEY, ITEMS, TERMS, Period, Terms
from registrations.models import Registrant


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
    APPROVAL = "approval", Payout.State.PROPOSED.label
    SENDING = "sending", Payout.State.APPROVED.label
    PAYER = "payer", Payout.State.SENDING.label
    ANSWER = "answer", Payout.State.UNKNOWN.label

    @property
    def who(self) -> Actor:
        """Who must act."""
        return Actor.PAYER if self in (Wait.CHECK, Wait.PAYER, Wait.ANSWER) else Actor.OFFICE


#: Before it is in a batch.
_IN_NO_BATCH = (Wait.SETTLING, Wait.CHECK, Wait.BATCH)

#: What an `obligation` that is behind no gate waits for, of somebody with this live `account`; its parameter: since when what a
#: payer has said counts.
_WAIT = f"""
    CASE
        WHEN EXISTS (
            SELECT 1 FROM incentives_leftover leftover
            WHERE leftover.obligation_id = obligation.id AND leftover.settled_at IS NULL
        ) THEN '{Wait.SETTLING.value}'
        WHEN obligation.state = {State.SENDING} THEN '{Wait.PAYER.value}'
        WHEN obligation.state = {State.UNKNOWN} THEN '{Wait.ANSWER.value}'
        WHEN obligation.batch_id IS NOT NULL THEN CASE WHEN EXISTS (
            SELECT 1 FROM incentives_payout payout
            WHERE (payout.obligation_id, payout.attempt) = (obligation.id, obligation.attempt)
              AND payout.state = {Payout.State.PROPOSED}
        ) THEN '{Wait.APPROVAL.value}' ELSE '{Wait.SENDING.value}' END
        WHEN account.checked_at > %s THEN '{Wait.BATCH.value}'
        ELSE '{Wait.CHECK.value}'
    END
"""

_WAITING = f"""
    FROM incentives_obligation obligation
    LEFT JOIN incentives_account account ON account.registrant_id = obligation.id / {ITEMS} AND account.ended_at IS NULL
    WHERE obligation.gate = 0 AND obligation.state <> {State.PAID}
"""


class Due(NamedTuple):
    wait: Wait
    people: int
    rupiah: int
    obligations: int


def due(*, at: datetime) -> list[Due]:
    """A line per thing that money waits for which is due then, behind no gate and in no batch, or with a payer; empty ones too.

    This reads what is due, row by row; what is with a payer, until its word or its daily file tells what became of it, is in the books.
    """
    unpaid = ", ".join(str(state.value) for state in UNPAID)
    found = _by_wait(
        f"obligation.state IN ({unpaid}) AND obligation.batch_id IS NULL AND obligation.due_at <= %s", [at], at=at
    )
    return [*(found.get(wait, Due(wait, 0, 0, 0)) for wait in _IN_NO_BATCH), *_with_a_payer(ledger.read())]


def _with_a_payer(books: ledger.Books) -> Iterator[Due]:
    for wait, state in ((Wait.PAYER, State.SENDING), (Wait.ANSWER, State.UNKNOWN)):
        sum = books.of(state)
        yield Due(wait, books.people_by_state.get(state, 0), sum.rupiah, sum.obligations)


def _by_wait(which: str, told: Sequence[Any], *, at: datetime) -> dict[Wait, Due]:
    """What those obligations wait for that are `which`: a condition with its parameters."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT wait, count(DISTINCT id / {ITEMS}), sum(amount)::bigint, count(*)
            FROM (SELECT obligation.id, obligation.amount, {_WAIT} AS wait {_WAITING} AND {which}) AS waiting GROUP BY 1
            """,
            [checking.counts_since(at), *told],
        )
        return {Wait(wait): Due(Wait(wait), *counts) for wait, *counts in cursor.fetchall()}


def waits(ids: Iterable[int], *, at: datetime) -> dict[int, Wait]:
    """What each of these obligations waits for; those that are paid, behind a gate or not due then wait for nobody."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT obligation.id, {_WAIT} {_WAITING} AND obligation.due_at <= %s AND obligation.id = ANY (%s::bigint[])",
            [checking.counts_since(at), at, array(ids)],
        )
        return {id: Wait(wait) for id, wait in cursor.fetchall()}


# Surveys


class Survey(NamedTuple):
    """How far a survey is with all who could answer it."""

    #: From 1 on.
    number: int
    paid: Sum
    #: Answered, and behind a gate.
    blocked: Sum
    #: Answered, nothing in the way, and still to be paid in time.
    in_time: Sum
    #: Answered, nothing in the way, and not paid in time.
    overdue: Sum
    #: So many people's windows have closed without an answer.
    missed: int

    @property
    def answered(self) -> Sum:
        parts = (self.paid, self.blocked, self.in_time, self.overdue)
        return Sum(sum(part.obligations for part in parts), sum(part.rupiah for part in parts))


def surveys(*, at: datetime, rows: Sequence[Terms] = TERMS) -> list[Survey]:
    """A line per survey. This reads everybody who has had an incentive, which takes a moment for a million."""
    answered, missed = _answered(at, rows), _missed(at, rows)

    def count(number: int) -> Survey:
        paid, blocked, in_time, overdue = (
            answered.get((number, place), Sum(0, 0)) for place in ("paid", "blocked", "in time", "overdue")
        )
        return Survey(number, paid, blocked, in_time, overdue, missed.get(number, 0))

    return [count(number) for number in range(1, max(terms.surveys for terms in rows) + 1)]


def _answered(at: datetime, rows: Sequence[Terms]) -> dict[tuple[int, str], Sum]:
    """By survey, and by where its money is."""
    place = Case(
        When(state=State.PAID, then=Value("paid")),
        When(gate__gt=Gate.NONE, then=Value("blocked")),
        When(_is_late(at, rows), then=Value("overdue")),
        default=Value("in time"),
    )
    found = Obligation.objects.filter(IS_SURVEY).values_list(Mod(F("id"), ITEMS), place).order_by()
    counted = found.annotate(obligations=Count("id"), rupiah=Total("amount"))
    return {(item - FIRST_SURVEY + 1, where): Sum(obligations, rupiah) for item, where, obligations, rupiah in counted}


def _is_late(at: datetime, rows: Sequence[Terms]) -> Q:
    """Of answered surveys: those that were to be paid before this instant, by the terms of the day of completion."""
    late = Q()
    for period in terms.periods(rows):
        late |= Q(_goes_by(period) if len(rows) > 1 else Q(), due_at__lt=at - period.terms.survey_paid_within)
    return late


def _goes_by(period: Period) -> Q:
    """Of obligations: those of people who go by these terms."""
    completed = Q(training_completed_at__gte=period.since, training_completed_at__lt=period.until)
    return Q(Exists(Registrant.objects.filter(completed, pk=OuterRef("pk") / ITEMS)))


def _missed(at: datetime, rows: Sequence[Terms]) -> dict[int, int]:
    """By survey, the people whose window has closed and who have not answered."""
    windows = [
        (number, period, at - (period.terms.survey_window(number, at)[1] - at))
        for period in terms.periods(rows)
        for number in range(1, period.terms.surveys + 1)
    ]
    # Where all go by the same terms, the index holds all that is asked for.
    by_terms = "AND training_completed_at >= since AND training_completed_at < until" if len(rows) > 1 else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT number, count(*)
            FROM unnest(%s::smallint[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[])
                AS closed (number, since, until, paid_by)
            JOIN registrations_registrant registrant ON registrant.incentive_received_at <= paid_by {by_terms}
            WHERE NOT EXISTS (
                SELECT 1 FROM incentives_obligation obligation
                WHERE obligation.id = registrant.id * {ITEMS} + {FIRST_SURVEY - 1} + number
                  AND mod(obligation.id, {ITEMS}) >= {FIRST_SURVEY} -- as it is; so the index of the answers can be read
            ) GROUP BY 1
            """,
            [
                array(number for number, _, _ in windows),
                array(period.since for _, period, _ in windows),
                array(period.until for _, period, _ in windows),
                array(paid_by for _, _, paid_by in windows),
            ],
        )
        return dict(cursor.fetchall())


def overdue_surveys(*, at: datetime, rows: Sequence[Terms] = TERMS) -> QuerySet[Obligation]:
    """Surveys that were answered, with nothing in the way, and not paid in time; the oldest first."""
    unpaid = [state for state in State if state is not State.PAID]
    late = Obligation.objects.filter(IS_SURVEY, _is_late(at, rows), state__in=unpaid, gate=Gate.NONE)
    return late.order_by("due_at", "id")


def overdue(*, at: datetime) -> list[Due]:
    """What overdue surveys wait for: a line each, none that is empty."""
    ids, told = overdue_surveys(at=at).order_by().values("pk").query.sql_with_params()
    found = _by_wait(f"obligation.id IN ({ids})", told, at=at)
    return [found[wait] for wait in Wait if wait in found]


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
