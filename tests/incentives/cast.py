"""The cast of the incentives' tests: people with a completed training, their accounts, two clerks, and a bank with its own ledger."""

import json
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from foundation import webhooks
from incentives import batching, checking, linking, obligations, sending, tasks, terms
from incentives.models import Account, Batch, Obligation, Payout, number
from incentives.payers import queue
from incentives.payout import MockPayer, Order, Outcome, Payer, Query, Verdict
from partners import inbox, keys
from partners.models import Secret
from registrations.models import Registrant
from tests.clock import fall_due
from tests.trainings import cast as trainings
from tests.trainings.cast import COMPLETES

#: Some time after the first month's incentive is due.
LATER = COMPLETES + timedelta(days=6)
DAY = timedelta(days=1)
PAYER = "bni"


def make_completed(count: int = 1, *, certified: bool = True, reviewed: bool = True, first: int = 1000) -> list[int]:
    """So many people who have completed a first training, by the real acts; nothing is opened yet."""
    return trainings.make_completed(count, certified=certified, reviewed=reviewed, first=first)


def make_owed(count: int = 1, **options) -> list[int]:
    """So many people whose four months are opened."""
    ids = make_completed(count, **options)
    open_all()
    return ids


def open_all() -> None:
    while obligations.open_batch(size=10_000, clock=lambda: LATER):
        pass


def plain(id: int) -> str:
    """An account at BNI of which nothing is special."""
    return f"1{id:09}"


def magic(code: int, id: int = 0) -> str:
    """An account at BNI of which something is (docs/mocks.md)."""
    return f"99{code}{id:06}"


def link(
    ids: Sequence[int], *, numbers: Sequence[str] = (), payer: str = PAYER, at: datetime = LATER
) -> list[linking.Outcome]:
    given = numbers or [plain(id) for id in ids]
    return linking.link([linking.Link(id, payer, number, at) for id, number in zip(ids, given, strict=True)])


def check(payer: Payer | None = None, *, code: str = PAYER, at: datetime = LATER) -> None:
    while checking.check_batch(code, payer=payer or MockPayer(), size=10_000, clock=lambda: at):
        pass


def make_payable(count: int = 1, *, numbers: Sequence[str] = (), checked: datetime = LATER, **options) -> list[int]:
    """So many people who lack nothing but the money; `checked`: when their payer has said so."""
    ids = make_owed(count, **options)
    assert set(link(ids, numbers=numbers)) == {linking.Outcome.LINKED}
    check(at=checked)
    return ids


def make_payable_now(count: int = 1, **options) -> list[int]:
    """The same for pages, which go by the real clock."""
    return make_payable(count, checked=timezone.now(), **options)


def clerk(name: str) -> User:
    user, _ = User.objects.get_or_create(username=name, defaults={"is_staff": True})
    return user


def make_batch(*, code: str = PAYER, at: datetime = LATER, limit: int = batching.LARGEST) -> Batch:
    """A batch of all that is due, approved by somebody else."""
    batch = batching.propose(code, by=clerk("maker"), at=at, limit=limit)
    batching.approve(batch, by=clerk("checker"), sha256=bytes(batch.sha256).hex(), at=at)
    return batch


def send(payer: Payer | None = None, *, code: str = PAYER, at: datetime = LATER) -> int:
    """Send one parcel."""
    return sending.send_batch(code, payer=payer or MockPayer(), size=10_000, clock=lambda: at)


def pay(payer: Payer | None = None, *, code: str = PAYER, at: datetime = LATER) -> Batch:
    """Pay all that is due now."""
    batch = make_batch(code=code, at=at)
    while send(payer, code=code, at=at):
        pass
    return batch


def owed(id: int, item: int = 1) -> Obligation:
    return Obligation.objects.get(pk=number(id, item))


def payout(id: int, item: int = 1, attempt: int = 1) -> Payout:
    return Payout.objects.get(obligation_id=number(id, item), attempt=attempt)


def account(id: int) -> Account:
    return Account.objects.get(registrant_id=id, ended_at=None)


def registrant(id: int) -> Registrant:
    return Registrant.objects.get(pk=id)


def make_due(waiting: str = queue(PAYER)) -> None:
    """What waits in this queue waits no longer."""
    fall_due(queue=waiting)


def grown_old() -> datetime:
    """When what payers said at `LATER` counts no more."""
    return LATER + terms.of(LATER).check_lives


def post_signed(kind: str, data: Any, *, webhook_id: str, partner: str = PAYER) -> bool:
    """A call of the partner's to the inbox, signed; whether it is new. `inbox.apply_batch` then knows what to do about it."""
    assert tasks.HEARD
    secret = b"s" * 32
    if not keys.live(partner, Secret.Use.IN):
        keys.keep(partner, Secret.Use.IN, secret)
    body, now = json.dumps({"type": kind, "timestamp": "2020-05-01T00:00:00Z", "data": data}).encode(), int(time.time())
    return inbox.take(
        partner,
        body,
        webhook_id=webhook_id,
        timestamp=str(now),
        signatures=webhooks.sign(secret, webhook_id, now, body),
        now=datetime.fromtimestamp(now, UTC),
    )


class Bank:
    """A payer that keeps a ledger: each reference is credited at most once, whatever is asked of it, and may be given back.

    `says`: what it answers to the next orders, instead of the truth; `falls_silent`: it does as it is told, and answers nothing.
    """

    def __init__(self) -> None:
        self.credited: dict[str, Order] = {}
        self.reversed: set[str] = set()
        self.calls: Counter[str] = Counter()
        self.answer_next: list[Outcome] = []

    def check(self, queries: Sequence[Query]) -> list[Verdict]:
        return [Verdict.FIT] * len(queries)

    def pay(self, orders: Sequence[Order]) -> list[Outcome]:
        said = []
        for order in orders:
            self.calls[order.reference] += 1
            said.append(self._pay(order))
        return said

    def _pay(self, order: Order) -> Outcome:
        fate = self.answer_next.pop(0) if self.answer_next else Outcome.PAID
        if order.reference in self.credited:
            return self.truth(order.reference)
        if fate in (Outcome.PAID, Outcome.UNKNOWN):
            self.credited[order.reference] = order
        return fate

    def truth(self, reference: str) -> Outcome:
        if reference in self.reversed:
            return Outcome.REVERSED_INACTIVE
        return Outcome.PAID if reference in self.credited else Outcome.NOT_FOUND

    def outcomes(self, orders: Sequence[Order]) -> list[Outcome]:
        return [self.truth(order.reference) for order in orders]

    def give_back(self, reference: str) -> None:
        assert reference in self.credited
        self.reversed.add(reference)

    def kept(self) -> Counter[int]:
        """How often each obligation is credited now."""
        return Counter(int(reference.partition("-")[0]) for reference in self.credited if reference not in self.reversed)
