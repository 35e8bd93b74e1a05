"""One person's incentives, as they and the office see them."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from incentives import surveys, terms
from incentives.gates import Actor, Gate
from incentives.models import Account, AccountChange, Obligation, Payout, State
from incentives.numbers import open_number
from incentives.payers import PAYERS, masked
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


class Line(NamedTuple):
    """One incentive."""

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


class Statement(NamedTuple):
    registrant_id: int
    account: AccountLine | None
    lines: list[Line]
    #: Rupiah by state.
    totals: dict[State, int]
    surveys: list[surveys.Window]
    #: Since when a change waits, and when it takes effect.
    change: AccountChange | None


def of(registrant_id: int) -> Statement:
    """All that is or was owed to somebody, with every attempt to pay it."""
    accounts = {account.pk: _account(account) for account in Account.objects.filter(registrant_id=registrant_id)}
    live = Account.objects.filter(registrant_id=registrant_id, ended_at=None).values_list("pk", flat=True).first()
    owed = list(Obligation.objects.of([registrant_id]).order_by("pk"))
    attempts: dict[int, list[Attempt]] = defaultdict(list)
    for payout in Payout.objects.filter(obligation_id__in=[one.pk for one in owed]).order_by("obligation_id", "attempt"):
        attempts[payout.obligation_id].append(_attempt(payout, accounts.get(payout.account_id)))
    totals = {state: sum(one.amount for one in owed if one.state == state) for state in State}
    first_paid_at = Registrant.objects.filter(pk=registrant_id).values_list("incentive_received_at", flat=True).first()
    return Statement(
        registrant_id,
        accounts.get(live) if live else None,
        [_line(one, attempts[one.pk]) for one in owed],
        {state: rupiah for state, rupiah in totals.items() if rupiah},
        surveys.windows(first_paid_at) if first_paid_at else [],
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
    )


def _line(one: Obligation, attempts: Sequence[Attempt]) -> Line:
    is_survey = terms.is_survey(one.item)
    within: timedelta = terms.of(one.due_at).survey_paid_within
    gate = Gate(one.gate)
    return Line(
        one.item - terms.FIRST_SURVEY + 1 if is_survey else one.item,
        is_survey,
        one.amount,
        one.due_at,
        one.due_at + within if is_survey else None,
        State(one.state),
        one.paid_at,
        gate,
        gate.who,
        list(attempts),
    )
