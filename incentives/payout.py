"""A payer, as we need it: is this account fit to be paid into; pay these orders, each once; what became of those?"""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

from foundation.http import JsonClient, echoed
from incentives.gates import Gate


class Query(NamedTuple):
    """An account that is asked about."""

    #: Ours; differs within a batch and stays the same when asked again.
    reference: str
    account: str
    #: Whose it must be.
    nik: str
    #: What it must be registered with, where the payer needs that; E.164.
    phone: str
    #: Rupiah that it must be able to hold.
    amount: int

    def __repr__(self) -> str:
        return f"Query({self.reference})"  # never a number: this ends up in logs


class Verdict(Enum):
    """What a payer says of an account, in the words of the wire; `UNKNOWN` whenever it says nothing in due form."""

    FIT = "fit"
    OF_ANOTHER = "of_another"
    INACTIVE = "inactive"
    NOT_UPGRADED = "not_upgraded"
    PHONE_DIFFERS = "phone_differs"
    FULL = "full"
    UNKNOWN = "unknown"

    @property
    def gate(self) -> Gate:
        """What it means; nothing of an unknown one, which is asked again."""
        return _GATES[self]


_GATES = {
    Verdict.FIT: Gate.NONE,
    Verdict.OF_ANOTHER: Gate.ACCOUNT_OF_ANOTHER,
    Verdict.INACTIVE: Gate.ACCOUNT_INACTIVE,
    Verdict.NOT_UPGRADED: Gate.ACCOUNT_NOT_UPGRADED,
    Verdict.PHONE_DIFFERS: Gate.ACCOUNT_PHONE_DIFFERS,
    Verdict.FULL: Gate.ACCOUNT_FULL,
}


class Order(NamedTuple):
    """Money to be paid."""

    #: Ours, for ever: however often an order comes, it is paid once.
    reference: str
    account: str
    #: Whose the account must be: nobody else's may be paid into.
    nik: str
    #: Rupiah.
    amount: int

    def __repr__(self) -> str:
        return f"Order({self.reference})"


class Outcome(Enum):
    """What became of an order, in the words of the wire; `UNKNOWN` whenever the payer says nothing in due form."""

    PAID = "paid"
    #: Taken, and not yet decided.
    PENDING = "pending"
    #: Never heard of this reference: nothing was paid, and it may be sent.
    NOT_FOUND = "not_found"
    FAILED = "failed"
    FAILED_OF_ANOTHER = "failed_of_another"
    FAILED_INACTIVE = "failed_inactive"
    FAILED_NOT_UPGRADED = "failed_not_upgraded"
    FAILED_PHONE_DIFFERS = "failed_phone_differs"
    FAILED_FULL = "failed_full"
    #: Paid, and given back: a dormant account, for one.
    REVERSED = "reversed"
    REVERSED_OF_ANOTHER = "reversed_of_another"
    REVERSED_INACTIVE = "reversed_inactive"
    REVERSED_NOT_UPGRADED = "reversed_not_upgraded"
    REVERSED_PHONE_DIFFERS = "reversed_phone_differs"
    REVERSED_FULL = "reversed_full"
    UNKNOWN = "unknown"

    @property
    def is_failed(self) -> bool:
        return self.value.startswith("failed")

    @property
    def is_reversed(self) -> bool:
        return self.value.startswith("reversed")

    @property
    def is_final(self) -> bool:
        """Whether it decides the attempt. What was paid can still be reversed."""
        return self not in (Outcome.PENDING, Outcome.NOT_FOUND, Outcome.UNKNOWN)

    @property
    def gate(self) -> Gate:
        """The cause, if the payer has named it."""
        cause = self.value.partition("_")[2]
        return Verdict(cause).gate if self.is_failed | self.is_reversed and cause else Gate.NONE


class Payer(Protocol):
    """A bank or an e-wallet. Each method gives one answer per record, in order, and raises `Unavailable` when nothing is known
    of any."""

    def check(self, queries: Sequence[Query]) -> list[Verdict]: ...

    def pay(self, orders: Sequence[Order]) -> list[Outcome]:
        """Pay these. A reference that has been taken before is not paid again, but answered as it stands now."""

    def outcomes(self, orders: Sequence[Order]) -> list[Outcome]:
        """What became of orders that may have been sent; only their references are asked about."""


class MockPayer:
    """Every bank and e-wallet, as a pure function of the account's number (docs/mocks.md).

    It remembers nothing: an order that it is asked about counts as sent.
    """

    mock: ClassVar = True

    def check(self, queries: Sequence[Query]) -> list[Verdict]:
        return [verdict_on(account, phone) for _, account, _, phone, _ in queries]

    def pay(self, orders: Sequence[Order]) -> list[Outcome]:
        return [fate_of(order)[0] if magic(order[1]) else Outcome.PAID for order in orders]

    def outcomes(self, orders: Sequence[Order]) -> list[Outcome]:
        return [fate_of(order)[1] if magic(order[1]) else Outcome.PAID for order in orders]


def magic(account: str) -> int:
    """The two digits that decide, out of `99CC...` or, of an e-wallet, `0899CC...`; 0: nothing special."""
    digits = account.removeprefix("08")
    return int(digits[2:4]) if digits[:2] == "99" else 0


def verdict_on(account: str, phone: str) -> Verdict:
    """What the mock says of an account, `phone` being the registrant's."""
    if (special := magic(account)) and special in _CHECKS:
        return _CHECKS[special]
    if account[:2] == "08" and not special and "+62" + account[1:] != phone:
        return Verdict.PHONE_DIFFERS
    return Verdict.FIT


def fate_of(order: Order) -> tuple[Outcome, Outcome]:
    """What the mock answers to an order, and what is true of it afterwards. The trouble of most ends with the first attempt."""
    first, then, only_once = _FATES.get(magic(order.account), _PAID)
    if only_once and not order.reference.endswith("-1"):
        return Outcome.PAID, Outcome.PAID
    return first, then


_CHECKS = {
    11: Verdict.OF_ANOTHER,
    12: Verdict.INACTIVE,
    13: Verdict.NOT_UPGRADED,
    14: Verdict.PHONE_DIFFERS,
    15: Verdict.FULL,
    16: Verdict.UNKNOWN,
}
_PAID = (Outcome.PAID, Outcome.PAID, False)
_FATES = {
    21: (Outcome.PENDING, Outcome.PAID, False),
    22: (Outcome.UNKNOWN, Outcome.PAID, False),
    23: (Outcome.FAILED_INACTIVE, Outcome.FAILED_INACTIVE, True),
    24: (Outcome.FAILED_FULL, Outcome.FAILED_FULL, True),
    25: (Outcome.FAILED_NOT_UPGRADED, Outcome.FAILED_NOT_UPGRADED, True),
    26: (Outcome.FAILED, Outcome.FAILED, True),
    27: (Outcome.FAILED_OF_ANOTHER, Outcome.FAILED_OF_ANOTHER, True),
    28: (Outcome.FAILED_PHONE_DIFFERS, Outcome.FAILED_PHONE_DIFFERS, True),
    31: (Outcome.PAID, Outcome.REVERSED_INACTIVE, True),
    32: (Outcome.PAID, Outcome.REVERSED, True),
    33: (Outcome.PENDING, Outcome.FAILED_INACTIVE, True),
    34: (Outcome.PENDING, Outcome.PENDING, False),
    35: (Outcome.UNKNOWN, Outcome.UNKNOWN, False),
    36: (Outcome.PAID, Outcome.REVERSED_OF_ANOTHER, True),
    37: (Outcome.PAID, Outcome.REVERSED_NOT_UPGRADED, True),
    38: (Outcome.PAID, Outcome.REVERSED_PHONE_DIFFERS, True),
    39: (Outcome.PAID, Outcome.REVERSED_FULL, True),
}

A = TypeVar("A", bound=Enum)


class HttpPayer:
    """A payer that is asked in JSON (docs/services.md); `client`: options of `JsonClient`."""

    def __init__(self, url: str, *, key: str = "", chunk: int = 200, **client: Any) -> None:
        self._client = JsonClient(url, key=key, **client)
        self._chunk = chunk

    def check(self, queries: Sequence[Query]) -> list[Verdict]:
        return self._client.ask(queries, chunk=self._chunk, call=self._check, unknown=Verdict.UNKNOWN)

    def pay(self, orders: Sequence[Order]) -> list[Outcome]:
        return self._client.ask(orders, chunk=self._chunk, call=self._pay, unknown=Outcome.UNKNOWN)

    def outcomes(self, orders: Sequence[Order]) -> list[Outcome]:
        return self._client.ask(orders, chunk=self._chunk, call=self._outcomes, unknown=Outcome.UNKNOWN)

    def _check(self, queries: Sequence[Query]) -> dict[str, Verdict]:
        return self._post("/payout/v1/checks", "checks", [query._asdict() for query in queries], "verdict", _VERDICTS)

    def _pay(self, orders: Sequence[Order]) -> dict[str, Outcome]:
        return self._post("/payout/v1/orders", "orders", [order._asdict() for order in orders], "status", _OUTCOMES)

    def _outcomes(self, orders: Sequence[Order]) -> dict[str, Outcome]:
        asked = [{"reference": order.reference} for order in orders]
        return self._post("/payout/v1/outcomes", "orders", asked, "status", _OUTCOMES | _ABSENT)

    def _post(
        self, path: str, under: str, records: Sequence[dict[str, Any]], word: str, words: Mapping[str, A]
    ) -> dict[str, A]:
        answer = self._client.post(path, {under: records})
        return echoed(answer, under="results", reference="reference", word=word, words=words)


_VERDICTS = {verdict.value: verdict for verdict in Verdict if verdict is not Verdict.UNKNOWN}
#: What has just been sent cannot be unheard of.
_ABSENT = {Outcome.NOT_FOUND.value: Outcome.NOT_FOUND}
_OUTCOMES = {
    outcome.value: outcome for outcome in Outcome if outcome is not Outcome.UNKNOWN and outcome is not Outcome.NOT_FOUND
}
