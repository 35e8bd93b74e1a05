"""The payers of the mock services, with a ledger of their own: the oracle against which payments are judged.

A reference is credited once at most, however often it comes; what is given back is debited. The account's number decides what becomes
of an order (`incentives.payout.fate_of`).
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from incentives.payout import Order, Outcome, fate_of
from registrations.regions import WIB


@dataclass(slots=True)
class _Payment:
    payer: str
    order: Order
    truth: Outcome
    at: datetime
    asked: int = 0
    credited: int = 0
    debited: int = 0


class Bank:
    """Shared by the server's threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._payments: dict[str, _Payment] = {}

    def asked(self, payer: str, records: Sequence[Any]) -> list[str]:
        """Take these orders, or tell what became of those asked about; the words of the wire, `unknown` for no answer."""
        with self._lock:
            return [self._one(payer, record).value for record in records]

    def _one(self, payer: str, record: Any) -> Outcome:
        known = self._payments.get(record.reference)
        if known:
            known.asked += 1
            return known.truth
        if not isinstance(record, Order):
            return Outcome.NOT_FOUND
        first, truth = fate_of(record)
        payment = self._payments[record.reference] = _Payment(payer, record, truth, datetime.now(UTC), asked=1)
        payment.credited = truth is Outcome.PAID or truth.is_reversed
        payment.debited = truth.is_reversed
        return first

    def payments(self) -> Iterator[dict[str, Any]]:
        """What became of each reference, in the order of their coming."""
        with self._lock:
            found = list(self._payments.items())
        for reference, payment in found:
            yield {
                "payer": payment.payer,
                "reference": reference,
                "rupiah": payment.order.amount,
                "status": payment.truth.value,
                "asked": payment.asked,
                "credited": int(payment.credited),
                "debited": int(payment.debited),
            }

    def statement(self, payer: str, day: str) -> str:
        """The daily file of one payer (docs/incentives.md): a line for each credit, failure and return of that day in Jakarta."""
        lines = []
        with self._lock:
            for reference, payment in self._payments.items():
                if payment.payer == payer and payment.at.astimezone(WIB).date().isoformat() == day:
                    said = [Outcome.PAID, payment.truth] if payment.truth.is_reversed else [payment.truth]
                    said = [outcome for outcome in said if outcome.is_final]
                    at = payment.at.astimezone(WIB).isoformat()
                    lines += [f"{reference},{outcome.value},{payment.order.amount},{at}" for outcome in said]
        rupiah = sum(int(line.split(",")[2]) for line in lines)
        head = ["payer,day,lines,rupiah", f"{payer},{day},{len(lines)},{rupiah}", "reference,status,rupiah,at"]
        return "\n".join([*head, *lines, ""])
