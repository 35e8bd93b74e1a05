"""Who may do what at the endpoints of trainings: see `tests/partners/authorisation.py`."""

from datetime import timedelta
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from partners.models import Partner
from partners.scopes import Scope
from tests.partners.authorisation import Row
from tests.trainings.cast import make_present, make_recipients, order
from trainings import completing, purchasing, redeeming, reviewing
from trainings.models import Purchase

#: Of the one purchase that there is.
CODE = "A" * 16


def _training(partner: Partner) -> dict[str, Any]:
    return {"id": make_present(platform=partner.pk, provider=partner.pk).pk}


def _purchase(partner: Partner) -> dict[str, Any]:
    """Bought two hours ago, with no randomness in its code."""
    _training(partner)
    [id] = make_recipients(1)
    bought = [order(id, at=timezone.now() - timedelta(hours=2))]
    [result] = purchasing.buy(bought, platform=partner.pk, random_bytes=lambda size: b"\0" * size)
    assert result.redeem_code == CODE
    return {"id": result.purchase_id}


def _completed(partner: Partner) -> dict[str, Any]:
    made, now = _purchase(partner), timezone.now()
    redeeming.commit([redeeming.Use(CODE, now - timedelta(hours=1))], partner=partner.pk)
    [outcome] = completing.complete([completing.Completion(CODE, now)], partner=partner.pk, now=now)
    assert outcome is completing.Outcome.COMPLETED
    return made


def _reviewed(partner: Partner) -> dict[str, Any]:
    made = _completed(partner)
    purchase = Purchase.objects.get(pk=made["id"])
    reviewing.review([reviewing.Opinion(purchase.registrant_id, purchase.pk, 5, "Bagus.", timezone.now())])
    return {}


def _file(partner: Partner) -> dict[str, Any]:
    file = SimpleUploadedFile("sertifikat.pdf", b"%PDF-1.7", "application/pdf")
    return {"redeem_code": CODE, "number": "N/1", "file": file}


def _items(**row: Any) -> dict[str, Any]:
    return {"items": [{"redeem_code": CODE} | row]}


_NONE = {"id": 2**40}
_OFFER = {
    "code": "TOK-9",
    "title": "Menjadi barista",
    "provider": "tokopedia",
    "mode": "webinar",
    "price": 275_000,
    "valid_from": "2020-04-11T00:00:00+07:00",
    "valid_until": "2020-12-31T00:00:00+07:00",
}
_ORDER = {"card": "8020000000000000", "training": "TOK-1", "reference": "INV-1"}
_SIGNED = "/api/v1/integration/payment/redeem-code"

ROWS = [
    Row("POST", f"{_SIGNED}/status", "signed", own=_purchase, body={"redeem_code": CODE}),
    Row("POST", f"{_SIGNED}/commit", "signed", own=_purchase, body={"redeem_code": CODE}),
    Row("GET", "/api/v1/trainings/", Scope.TRAININGS_READ, own=_training),
    Row("POST", "/api/v1/trainings/", Scope.TRAININGS_WRITE, body=_OFFER, status=201),
    Row("GET", "/api/v1/trainings/{id}/", Scope.TRAININGS_READ, own=_training, absent=_NONE),
    Row("PATCH", "/api/v1/trainings/{id}/", Scope.TRAININGS_WRITE, own=_training, absent=_NONE, body={"title": "Baru"}),
    Row("GET", "/api/v1/purchases/", Scope.PURCHASES_READ, own=_purchase),
    Row("POST", "/api/v1/purchases/", Scope.PURCHASES_WRITE, own=_training, body={"items": [_ORDER]}),
    Row("GET", "/api/v1/purchases/{id}/", Scope.PURCHASES_READ, own=_purchase, absent=_NONE),
    Row("POST", "/api/v1/cancellations/", Scope.PURCHASES_WRITE, own=_purchase, body=_items()),
    Row("POST", "/api/v1/attendances/", Scope.COMPLETIONS_WRITE, own=_purchase, body=_items(sequence=1)),
    Row(
        "POST",
        "/api/v1/completions/",
        Scope.COMPLETIONS_WRITE,
        own=_purchase,
        body=_items(completed_at="2020-05-01T09:00:00+07:00"),
    ),
    Row(
        "POST", "/api/v1/certificates/", Scope.COMPLETIONS_WRITE, own=_completed, body=_items(number="N/1", sha256="0" * 64)
    ),
    Row(
        "POST",
        "/api/v1/certificates/file/",
        Scope.COMPLETIONS_WRITE,
        own=_completed,
        body=_file,
        status=201,
        content_type="multipart/form-data",
    ),
    Row("GET", "/api/v1/reviews/", Scope.REVIEWS_READ, own=_reviewed),
]
