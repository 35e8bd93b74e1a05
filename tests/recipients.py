"""Recipients of this very day, for pages that go by the real clock; and what partners do about them, by their own acts."""

from datetime import datetime, timedelta
from typing import Any

from django.test import Client
from django.utils import timezone

from registrations.models import Registrant
from tests.trainings import cast
from tests.waves.cast import by_force
from trainings import completing, purchasing, redeeming, reviewing
from trainings.completing import Certificate, Completion
from trainings.models import Purchase, Training
from waves.models import Decree


def make_recipients_now(count: int = 1, *, days: int = 20, first: int = 1000) -> list[int]:
    """So many recipients who may buy a first training for so many days; the balance lasts until the end of next year."""
    ids = cast.make_recipients(count, first=first)
    now = timezone.now()
    with by_force():
        Decree.objects.update(year=now.year + 1, buy_by=now + timedelta(days=days))
    return ids


def make_recipient(**options: Any) -> Registrant:
    [id] = make_recipients_now(**options)
    return Registrant.objects.get(pk=id)


def make_training_now(code: str = "TOK-1", **changes: Any) -> Training:
    """A training that is on sale."""
    now = timezone.now()
    return cast.make_training(
        code, **{"valid_from": now - timedelta(days=90), "valid_until": now + timedelta(days=90)} | changes
    )


def buy_now(id: int, training: Training, *, at: datetime | None = None) -> Purchase:
    order = purchasing.Order(id, training.code, f"T{id}.{training.pk}", at or timezone.now())
    [result] = purchasing.buy([order], platform=training.platform_id)
    assert result.outcome is purchasing.Outcome.BOUGHT
    return Purchase.objects.get(pk=result.purchase_id or 0)


def redeem_now(purchase: Purchase, *, at: datetime | None = None) -> None:
    use = redeeming.Use(purchase.redeem_code, at or timezone.now())
    assert redeeming.commit([use], partner="nusa") == [redeeming.Outcome.COMMITTED]


def complete_now(purchase: Purchase, *, certified: bool = True, at: datetime | None = None) -> None:
    completion = Completion(purchase.redeem_code, at or timezone.now(), 88, certificate_of(purchase) if certified else None)
    now = max(completion.completed_at, timezone.now())
    assert completing.complete([completion], partner="nusa", now=now) == [completing.Outcome.COMPLETED]


def certificate_of(purchase: Purchase) -> Certificate:
    return Certificate(f"NUSA/{purchase.pk:05}", purchase.redeem_code.encode() * 2)


def certify_now(purchase: Purchase) -> None:
    sent = completing.Certification(purchase.redeem_code, certificate_of(purchase))
    assert completing.certify([sent], partner="nusa", now=timezone.now()) == [completing.Outcome.CERTIFIED]


def review_now(purchase: Purchase) -> None:
    opinion = reviewing.Opinion(purchase.registrant_id, purchase.pk, 5, "Sangat berguna.", timezone.now())
    assert reviewing.review([opinion]) == [reviewing.Outcome.REVIEWED]


def make_completed_now(*, certified: bool = True, reviewed: bool = True, days_ago: int = 0, **options: Any) -> int:
    """A recipient who has completed a first training, that many days ago."""
    [id] = make_recipients_now(**options)
    at = timezone.now() - timedelta(days=days_ago)
    training = Training.objects.filter(code="TOK-1").first() or make_training_now()
    purchase = buy_now(id, training, at=at)
    redeem_now(purchase, at=at)
    complete_now(purchase, certified=certified, at=at)
    if reviewed:
        review_now(purchase)
    return id


def signed_in(id: int, *, language: str = "en") -> Client:
    """A browser on which this registrant is signed in."""
    client = Client()
    session = client.session
    session["registrant"] = id
    session.save()
    client.cookies["django_language"] = language
    return client
