"""Who may do what at the endpoints of trainings: see `tests/partners/authorisation.py`."""

from base64 import b32encode
from datetime import timedelta
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from partners.models import Partner
from partners.scopes import Scope
from tests.partners.authorisation import Row
from tests.trainings.cast import card, make_recipients, make_training, order
from tests.waves.cast import by_force
from trainings import cancelling, completing, purchasing, redeeming, reviewing
from trainings.models import Purchase, Training
from trainings.purchasing import CODE_BYTES
from waves.models import Decree

HOUR = timedelta(hours=1)


def _training(partner: Partner) -> dict[str, Any]:
    """On sale by today's clock, as the API goes by it."""
    now = timezone.now()
    training = make_training(
        f"{partner.pk}-1",
        platform=partner.pk,
        provider=partner.pk,
        valid_from=now - timedelta(days=1),
        valid_until=now + timedelta(days=90),
    )
    return {"id": training.pk, "training": training.code, "listed": [training.pk]}


def _recipients(count: int = 1) -> list[int]:
    """Who may buy by today's clock; other people for each training that there is."""
    ids = make_recipients(count, first=1000 * (1 + Training.objects.count()))
    with by_force():
        Decree.objects.update(year=timezone.now().year + 1, buy_by=None)
    return ids


def _offer(partner: Partner) -> dict[str, Any]:
    """A training, and somebody's card to buy it with."""
    made = _training(partner)
    [id] = _recipients()
    return made | {"card": card(id)}


def _drawn(partner: Partner, size: int) -> bytes:
    """No randomness: of each partner, the codes are known before."""
    drawn = (f"{partner.pk}{number}".encode().ljust(CODE_BYTES, b"\0") for number in range(size // CODE_BYTES))
    return b"".join(drawn)


def codes_of(partner: Partner, count: int = 1) -> list[str]:
    """The redeem codes of so many purchases of the partner's trainings."""
    drawn = _drawn(partner, count * CODE_BYTES)
    return [b32encode(drawn[start : start + CODE_BYTES]).decode() for start in range(0, len(drawn), CODE_BYTES)]


def _bought(partner: Partner, count: int = 1) -> list[Purchase]:
    """Bought two hours ago."""
    code, at = _training(partner)["training"], timezone.now() - 2 * HOUR
    orders = [order(id, code, at=at) for id in _recipients(count)]
    results = purchasing.buy(orders, platform=partner.pk, random_bytes=lambda size: _drawn(partner, size))
    assert {result.redeem_code for result in results} == set(codes_of(partner, count))
    return list(Purchase.objects.filter(training__platform=partner).order_by("id"))


def _named(purchase: Purchase) -> dict[str, Any]:
    return {"id": purchase.pk, "redeem_code": purchase.redeem_code, "listed": [purchase.pk]}


def _purchase(partner: Partner) -> dict[str, Any]:
    return _named(*_bought(partner))


def _redeem(partner: Partner, *purchases: Purchase, sequence: int | None = None) -> None:
    at = timezone.now() - HOUR
    redeeming.commit([redeeming.Use(purchase.redeem_code, at, sequence) for purchase in purchases], partner=partner.pk)


def _redeemed(partner: Partner) -> dict[str, Any]:
    [purchase] = _bought(partner)
    _redeem(partner, purchase)
    return _named(purchase) | {"completed_at": (timezone.now() - HOUR / 2).isoformat()}


def _complete(partner: Partner, purchase: Purchase, certificate: completing.Certificate | None = None) -> None:
    now = timezone.now()
    completion = completing.Completion(purchase.redeem_code, now, certificate=certificate)
    [outcome] = completing.complete([completion], partner=partner.pk, now=now)
    assert outcome is completing.Outcome.COMPLETED


def _completed(partner: Partner) -> dict[str, Any]:
    [purchase] = _bought(partner)
    _redeem(partner, purchase)
    _complete(partner, purchase)
    return _named(purchase)


def _reviewed(partner: Partner) -> dict[str, Any]:
    made = _completed(partner)
    purchase = Purchase.objects.get(pk=made["id"])
    reviewing.review([reviewing.Opinion(purchase.registrant_id, purchase.pk, 5, "Bagus.", timezone.now())])
    return made


def _in_every_state(partner: Partner) -> dict[str, Any]:
    bought = _bought(partner, 6)
    issued, redeemed, attending, completed, certified, cancelled = bought
    _redeem(partner, redeemed, completed, certified)
    _redeem(partner, attending, sequence=1)
    _complete(partner, completed)
    _complete(partner, certified, completing.Certificate("N/1", b"\0" * 32))
    cancelling.cancel([cancelling.Cancellation(cancelled.redeem_code, timezone.now())], platform=partner.pk)
    assert issued.state == Purchase.State.ISSUED
    assert set(Purchase.objects.values_list("state", flat=True)) == set(Purchase.State)
    return {"listed": [purchase.pk for purchase in bought]}


def _file(of: dict[str, Any]) -> dict[str, Any]:
    file = SimpleUploadedFile("sertifikat.pdf", b"%PDF-1.7", "application/pdf")
    return {"redeem_code": of["redeem_code"], "number": "N/1", "file": file}


def _code(of: dict[str, Any]) -> dict[str, Any]:
    return {"redeem_code": of["redeem_code"]}


def _order(of: dict[str, Any]) -> dict[str, Any]:
    return {"card": of["card"], "training": of["training"], "reference": f"INV-{of['training']}", "price": 400_000}


def _completion(of: dict[str, Any]) -> dict[str, Any]:
    return {"redeem_code": of["redeem_code"], "completed_at": of["completed_at"], "certificate": _CERTIFICATE}


_NONE = {"id": 2**40}
_NO_CODE = {"redeem_code": "Z" * 16}
_CERTIFICATE = {"number": "N/1", "sha256": "0" * 64}
_OFFER = {
    "code": "TOK-9",
    "title": "Menjadi barista",
    "provider": "linkaja",
    "mode": "webinar",
    "price": 275_000,
    "valid_from": "2020-04-11T00:00:00+07:00",
    "valid_until": "2020-12-31T00:00:00+07:00",
}
_SIGNED = "/api/v1/integration/payment/redeem-code"

ROWS = [
    Row("POST", f"{_SIGNED}/status", "signed", own=_purchase, absent=_NO_CODE, body=_code),
    Row("POST", f"{_SIGNED}/commit", "signed", own=_purchase, absent=_NO_CODE, body=_code, again=409),
    Row("GET", "/api/v1/trainings/", Scope.TRAININGS_READ, own=_training, shows="id"),
    Row("POST", "/api/v1/trainings/", Scope.TRAININGS_WRITE, body=_OFFER, status=201, again=409),
    Row("GET", "/api/v1/trainings/{id}/", Scope.TRAININGS_READ, own=_training, absent=_NONE),
    Row("PATCH", "/api/v1/trainings/{id}/", Scope.TRAININGS_WRITE, own=_training, absent=_NONE, body={"title": "Baru"}),
    Row("GET", "/api/v1/purchases/", Scope.PURCHASES_READ, own=_in_every_state, shows="id"),
    Row("POST", "/api/v1/purchases/", Scope.PURCHASES_WRITE, own=_offer, absent={"training": "NONE-1"}, item=_order),
    Row("GET", "/api/v1/purchases/{id}/", Scope.PURCHASES_READ, own=_purchase, absent=_NONE),
    Row(
        "POST",
        "/api/v1/cancellations/",
        Scope.PURCHASES_WRITE,
        own=_purchase,
        absent=_NO_CODE,
        item=_code,
    ),
    Row(
        "POST",
        "/api/v1/attendances/",
        Scope.COMPLETIONS_WRITE,
        own=_purchase,
        absent=_NO_CODE,
        item=lambda of: {"redeem_code": of["redeem_code"], "sequence": 1},
    ),
    Row("POST", "/api/v1/completions/", Scope.COMPLETIONS_WRITE, own=_redeemed, absent=_NO_CODE, item=_completion),
    Row(
        "POST",
        "/api/v1/certificates/",
        Scope.COMPLETIONS_WRITE,
        own=_completed,
        absent=_NO_CODE,
        item=lambda of: _CERTIFICATE | {"redeem_code": of["redeem_code"]},
    ),
    Row(
        "POST",
        "/api/v1/certificates/file/",
        Scope.COMPLETIONS_WRITE,
        own=_completed,
        absent=_NO_CODE,
        body=_file,
        status=201,
        content_type="multipart/form-data",
    ),
    Row("GET", "/api/v1/reviews/", Scope.REVIEWS_READ, own=_reviewed, shows="purchase"),
]
