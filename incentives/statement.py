"""One person's incentives, as they and the office see them."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from incentives import surveys, terms
from incentives.gates import Actor, Gate
from incentives.models import Account, AccountChange, Obligation, Payout, State
from incentives.numbers import open_number
from incentives.payers import PAYERS, masked
from incentives.surveys import Survey, Window
from incentives.terms import TERMS, Terms
from registrations.models import Registrant


class AccountLine(NamedTuple):
    id: int
    payer: str
    payer_name: str
    #: All but its last digits hidden.
    number: str
    gate: Gate
    linked_at: datetime
    #: None: the payer is being asked.
    checked_at: datetime | None


class Attempt(NamedTuple):
    reference: str
    state: Payout.State
    reason: Gate
    account: AccountLine | None
    sent_at: datetime | None
    settled_at: datetime | None
    batch_id: int


class Line(NamedTuple):
    """One incentive."""

    #: The obligation's.
    id: int
    #: A month's, or a survey's, from 1 on.
    number: int
    is_survey: bool
    rupiah: int
    due_at: datetime
    #: By when a survey is paid.
    pay_by: datetime | None
    state: State
    paid_at: datetime | None
    gate: Gate
    #: Who must act; nobody when nothing is in the way.
    who: Actor | None
    attempts: list[Attempt]

    def is_overdue(self, at: datetime) -> bool:
        """Whether this is a survey that was answered, with nothing in the way, and not paid in time."""
        return self.pay_by is not None and self.pay_by < at and self.state is not State.PAID and not self.gate


class Statement(NamedTuple):
    registrant_id: int
    account: AccountLine | None
    lines: list[Line]
    #: Rupiah by state.
    totals: dict[State, int]
    surveys: list[Window]
    #: Since when a change waits, and when it takes effect.
    change: AccountChange | None

    def surveys_at(self, at: datetime) -> list[Survey]:
        """How the surveys stand at this instant; none before the first incentive."""
        return surveys.standing(self.surveys, {line.number for line in self.lines if line.is_survey}, at=at)


def of(registrant_id: int, *, rows: Sequence[Terms] = TERMS) -> Statement:
    """All that is or was owed to somebody, with every attempt to pay it."""
    accounts = {account.pk: _account(account) for account in Account.objects.filter(registrant_id=registrant_id)}
    live = Account.objects.filter(registrant_id=registrant_id, ended_at=None).values_list("pk", flat=True).first()
    owed = list(Obligation.objects.of([registrant_id]).order_by("pk"))
    attempts: dict[int, list[Attempt]] = defaultdict(list)
    for payout in Payout.objects.filter(obligation_id__in=[one.pk for one in owed]).order_by("obligation_id", "attempt"):
        attempts[payout.obligation_id].append(_attempt(payout, accounts.get(payout.account_id)))
    totals = {state: sum(one.amount for one in owed if one.state == state) for state in State}
    completed_at, first_paid_at = (
        Registrant.objects.filter(pk=registrant_id).values_list("training_completed_at", "incentive_received_at").first()
    ) or (None, None)
    rules = terms.of(completed_at, rows) if completed_at else None
    return Statement(
        registrant_id,
        accounts.get(live) if live else None,
        [_line(one, attempts[one.pk], rules) for one in owed],
        {state: rupiah for state, rupiah in totals.items() if rupiah},
        surveys.windows(first_paid_at, rules) if first_paid_at and rules else [],
        AccountChange.objects.filter(registrant_id=registrant_id, done_at=None, cancelled_at=None).first(),
    )


def _account(account: Account) -> AccountLine:
    digest = account.digest.hex
    number = open_number(account.sealed, payer=account.payer, registrant_id=account.registrant_id, digest=digest)
    return AccountLine(
        account.pk,
        account.payer,
        PAYERS[account.payer].name,
        masked(number),
        Gate(account.gate),
        account.linked_at,
        account.checked_at,
    )


def _attempt(payout: Payout, account: AccountLine | None) -> Attempt:
    return Attempt(
        payout.reference,
        Payout.State(payout.state),
        Gate(payout.reason),
        account,
        payout.sent_at,
        payout.settled_at,
        payout.batch_id,
    )


def _line(one: Obligation, attempts: Sequence[Attempt], rules: Terms | None) -> Line:
    is_survey = terms.is_survey(one.item)
    gate = Gate(one.gate)
    return Line(
        one.pk,
        one.item - terms.FIRST_SURVEY + 1 if is_survey else one.item,
        is_survey,
        one.amount,
        one.due_at,
        one.due_at + rules.survey_paid_within if is_survey and rules else None,
        State(one.state),
        one.paid_at,
        gate,
        gate.who,
        list(attempts),
    )
