"""Who may do what at the payers' endpoints: see `tests/partners/authorisation.py`."""

from typing import Any

from incentives.gates import Gate
from incentives.models import Account, Batch, Payout
from incentives.payout import Outcome
from partners.models import Partner
from partners.scopes import Scope
from tests.incentives.cast import LATER, Bank, account, check, clerk, link, make_batch, make_owed, payout, send
from tests.partners.authorisation import Row


def _batch(partner: Partner) -> dict[str, Any]:
    """An approved batch, whoever the payer is: of four payouts one to be sent, one sent, one paid and one failed."""
    S, first = Payout.State, 17 + 4 * Batch.objects.count()
    batch = Batch.objects.create(
        payer=partner.pk,
        payouts=4,
        rupiah=4 * 600_000,
        sha256=b"",
        maker=clerk("maker"),
        made_at=LATER,
        checker=clerk("checker"),
        approved_at=LATER,
    )
    payouts = Payout.objects.filter(batch_id=batch.pk)
    Payout.objects.bulk_create(
        Payout(obligation_id=id, attempt=1, account_id=1, amount=600_000, batch_id=batch.pk, block=0, state=S.PROPOSED)
        for id in range(first, first + 4)
    )
    payouts.update(state=S.APPROVED)
    payouts.filter(obligation_id__gt=first).update(state=S.SENDING, sent_at=LATER)
    payouts.filter(obligation_id=first + 2).update(state=S.PAID, settled_at=LATER)
    payouts.filter(obligation_id=first + 3).update(state=S.FAILED, settled_at=LATER, reason=Gate.ACCOUNT_INACTIVE)
    references = [f"{id}-1" for id in range(first, first + 4)]
    return {"batch": batch.pk, "reference": references[0], "listed": [batch.pk], "payouts": references}


def _payouts(partner: Partner) -> dict[str, Any]:
    made = _batch(partner)
    return made | {"listed": made["payouts"]}


def _account(partner: Partner) -> Account:
    """Of somebody who has completed a training: another one for each account that there is."""
    [id] = make_owed(first=1000 * (1 + Account.objects.count()))
    link([id], payer=partner.pk, numbers=[f"08{id:011}"])
    return account(id)


def _linked(partner: Partner) -> dict[str, Any]:
    return {"reference": str(_account(partner).pk)}


def _sent(partner: Partner) -> dict[str, Any]:
    """A payout of which the payer has not said yet what became of it."""
    bank, id = Bank(), _account(partner).registrant_id
    check(bank, code=partner.pk)
    make_batch(code=partner.pk)
    bank.answer_next = [Outcome.UNKNOWN]
    send(bank, code=partner.pk)
    return {"reference": payout(id).reference}


_NO_REFERENCE = {"reference": "99-1"}

ROWS = [
    Row("GET", "/api/v1/payout-batches/", Scope.PAYOUTS_READ, own=_batch, shows="id"),
    Row(
        "GET",
        "/api/v1/payout-batches/{batch}/payouts/",
        Scope.PAYOUTS_READ,
        own=_payouts,
        absent={"batch": 2**31 - 1},
        shows="reference",
    ),
    Row("GET", "/api/v1/payouts/{reference}/", Scope.PAYOUTS_READ, own=_batch, absent=_NO_REFERENCE),
    Row(
        "POST",
        "/api/v1/payout-results/",
        Scope.PAYOUTS_WRITE,
        own=_sent,
        absent=_NO_REFERENCE,
        item=lambda of: {"reference": of["reference"], "status": "paid"},
    ),
    Row(
        "POST",
        "/api/v1/account-checks/",
        Scope.ACCOUNTS_CHECK,
        own=_linked,
        absent={"reference": str(2**40)},
        item=lambda of: {"reference": of["reference"], "verdict": "fit"},
    ),
]
