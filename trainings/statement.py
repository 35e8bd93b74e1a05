"""A registrant's training balance as they see it: what is left, until when, what it was spent on, and each transfer."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.db.models import F, Q

from trainings import terms
from trainings.models import Balance, Purchase, Review, Transfer
from waves.models import Decree, Recipient


class Line(NamedTuple):
    """A transfer, as the registrant's account has it."""

    at: datetime
    kind: Transfer.Kind
    #: In rupiah; below zero: spent.
    amount: int
    #: What was left after it.
    balance: int
    purchase: Purchase | None


@dataclass(frozen=True, slots=True)
class Statement:
    """Of one recipient; in rupiah."""

    #: What may still be spent. It comes with the first purchase, but is theirs before that.
    balance: int
    granted: int
    #: Before this instant it is spent.
    use_by: datetime
    #: The oldest first.
    transfers: list[Line]
    #: The newest first, each with its training.
    purchases: list[Purchase]
    #: By purchase.
    reviews: dict[int, Review]

    @property
    def returned(self) -> int:
        """What was not spent in time, and is the programme's again."""
        return -sum(line.amount for line in self.transfers if line.kind == Transfer.Kind.RETURN)

    @property
    def spent(self) -> int:
        return self.granted - self.returned - self.balance


def of(registrant_id: int) -> Statement | None:
    """The registrant's statement; None for somebody whom no decree has named."""
    recipient = Recipient.objects.filter(pk=registrant_id).first()
    if recipient is None:
        return None
    year = Decree.objects.values_list("year", flat=True).get(pk=recipient.decree_id)
    purchases = list(
        Purchase.objects.filter(registrant_id=registrant_id).select_related("training__provider", "training__platform")
    )
    lines = _lines(registrant_id, {purchase.pk: purchase for purchase in purchases})
    balance = Balance.objects.filter(pk=registrant_id).values_list("balance", flat=True).first()
    granted = sum(line.amount for line in lines if line.kind == Transfer.Kind.GRANT) or terms.of(year).balance
    return Statement(
        balance=terms.of(year).balance if balance is None else balance,
        granted=granted,
        use_by=terms.of(year).use_by(year),
        transfers=lines,
        purchases=purchases[::-1],
        reviews=Review.objects.in_bulk([purchase.pk for purchase in purchases]),
    )


def _lines(registrant_id: int, purchases: dict[int, Purchase]) -> list[Line]:
    mine = (
        Q(purchase_id__in=purchases)
        | Q(kind=Transfer.Kind.GRANT, credit=registrant_id)
        | Q(kind=Transfer.Kind.RETURN, debit=registrant_id)
    )
    lines, balance = [], 0
    for transfer in Transfer.objects.filter(mine).order_by(F("at").asc(), F("id").asc()):
        amount = transfer.amount if transfer.credit == registrant_id else -transfer.amount
        balance += amount
        purchase = purchases[transfer.purchase_id] if transfer.purchase_id else None
        lines.append(Line(transfer.at, Transfer.Kind(transfer.kind), amount, balance, purchase))
    return lines
