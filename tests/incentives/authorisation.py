"""Who may do what at the payers' endpoints: see `tests/partners/authorisation.py`."""

from typing import Any

from incentives.models import Batch, Payout
from partners.models import Partner
from partners.scopes import Scope
from tests.incentives.cast import LATER, clerk
from tests.partners.authorisation import Row

#: Of the one payout that there is.
REFERENCE = "17-1"


def _batch(partner: Partner) -> dict[str, Any]:
    """An approved batch of one payout, whoever the payer is."""
    batch = Batch.objects.create(
        payer=partner.pk,
        payouts=1,
        rupiah=600_000,
        sha256=b"",
        maker=clerk("maker"),
        made_at=LATER,
        checker=clerk("checker"),
        approved_at=LATER,
    )
    Payout.objects.create(
        obligation_id=17,
        attempt=1,
        account_id=1,
        amount=600_000,
        batch_id=batch.pk,
        block=0,
        state=Payout.State.PROPOSED,
    )
    Payout.objects.filter(batch_id=batch.pk).update(state=Payout.State.APPROVED)
    return {"batch": batch.pk}


def _payout(partner: Partner) -> dict[str, Any]:
    _batch(partner)
    return {"reference": REFERENCE}


ROWS = [
    Row("GET", "/api/v1/payout-batches/", Scope.PAYOUTS_READ, own=_batch),
    Row("GET", "/api/v1/payout-batches/{batch}/payouts/", Scope.PAYOUTS_READ, own=_batch, absent={"batch": 2**31 - 1}),
    Row("GET", "/api/v1/payouts/{reference}/", Scope.PAYOUTS_READ, own=_payout, absent={"reference": "18-1"}),
    Row(
        "POST",
        "/api/v1/payout-results/",
        Scope.PAYOUTS_WRITE,
        body={"items": [{"reference": REFERENCE, "status": "paid"}]},
    ),
    Row("POST", "/api/v1/account-checks/", Scope.ACCOUNTS_CHECK, body={"items": [{"reference": "1", "verdict": "fit"}]}),
]
