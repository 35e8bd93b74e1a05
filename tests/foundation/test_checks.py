"""Production refuses to start with mocks, made-up keys or DEBUG."""

import base64
from hashlib import sha256
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from pytest_django.fixtures import Settings

from foundation.checks import keys_are_real, services_are_real

HTTP = {
    "dukcapil": {
        "BACKEND": "verification.dukcapil.HttpDukcapil",
        "OPTIONS": {"url": "https://dukcapil.example", "key": "k"},
    },
    "email": {"BACKEND": "foundation.email.HttpEmail", "OPTIONS": {"url": "https://mail.example"}},
    "sms": {"BACKEND": "foundation.sms.HttpSms", "OPTIONS": {"url": "https://sms.example"}},
    "randomness": {"BACKEND": "waves.randomness.Drand", "OPTIONS": {"url": "https://drand.example"}},
}


def key(n: int = 0) -> str:
    """As good as drawn at random, but the same in every run."""
    return base64.b64encode(sha256(bytes([n])).digest()).decode()


@pytest.fixture(autouse=True)
def production(settings: Settings) -> None:
    settings.PRODUCTION = True
    settings.DEBUG = False
    settings.SERVICES = HTTP
    settings.SECRET_KEY = key(1)
    settings.SEALING_KEYS = f"2:{key(2)}, 1:{key(3)}"
    settings.DIGEST_KEY = key(4)


def ids() -> list[str]:
    return [str(message.id) for message in [*services_are_real(None), *keys_are_real(None)]]


def test_a_production_that_is_in_order_starts():
    assert ids() == []


def test_a_file_is_taken_in_under_real_keys_only(settings: Settings):
    """The command asks for this alone, not for what the pages ask for."""
    call_command("intake", "--template", skip_checks=False)

    settings.DIGEST_KEY = "changeme"

    with pytest.raises(SystemCheckError, match="DIGEST_KEY"):
        call_command("intake", "--template", skip_checks=False)


def test_a_demo_starts_with_anything(settings: Settings):
    settings.PRODUCTION = False
    settings.DEBUG = True
    settings.SERVICES = {"sms": {"BACKEND": "foundation.sms.MockSms"}}
    settings.SEALING_KEYS = ""

    assert ids() == []


@pytest.mark.parametrize(
    ("name", "backend"),
    [
        ("dukcapil", "verification.dukcapil.MockDukcapil"),
        ("email", "foundation.email.MockEmail"),
        ("sms", "foundation.sms.MockSms"),
        ("randomness", "waves.randomness.MockBeacon"),
        ("payout_bni", "incentives.payout.MockPayer"),
    ],
)
def test_a_mock_is_refused(settings: Settings, name: str, backend: str):
    settings.SERVICES = {**HTTP, name: {"BACKEND": backend}}

    assert ids() == ["foundation.E002"]


def failover(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    return {**HTTP, "sms": {"BACKEND": "foundation.failover.Failover", "OPTIONS": {"providers": [first, second]}}}


def test_a_mock_among_several_providers_is_refused(settings: Settings):
    settings.SERVICES = failover(HTTP["sms"], {"BACKEND": "foundation.sms.MockSms"})

    [message] = services_are_real(None)
    assert message.id == "foundation.E002"
    assert message.hint is not None
    assert "SMS_2_URL" in message.hint


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (HTTP["sms"], []),
        ({"BACKEND": "nowhere"}, ["foundation.E001"]),
        ({"BACKEND": "foundation.sms.HttpSms", "OPTIONS": {"url": "http://sms.example"}}, ["foundation.W001"]),
    ],
)
def test_every_one_of_several_providers_is_looked_into(settings: Settings, second: dict[str, Any], expected: list[str]):
    settings.SERVICES = failover(HTTP["sms"], second)

    assert ids() == expected


@pytest.mark.parametrize(
    ("secrets", "expected"),
    [
        ([], []),
        ([key(7), f"whsec_{key(8)}"], []),
        ([key(7), ""], ["foundation.E008"]),
        (["not base64!"], ["foundation.E008"]),
        ([base64.b64encode(b"short").decode()], ["foundation.E008"]),
        ([base64.b64encode(b"A" * 32).decode()], ["foundation.E008"]),
    ],
)
def test_a_weak_receipt_secret_is_refused(settings: Settings, secrets: list[str], expected: list[str]):
    settings.SMS_RECEIPT_SECRETS = secrets

    assert ids() == expected


@pytest.mark.parametrize("kind", ["console", "locmem", "dummy", "filebased"])
def test_a_back_end_of_django_that_sends_nothing_is_refused(settings: Settings, kind: str):
    options = {"backend": f"django.core.mail.backends.{kind}.EmailBackend"}
    settings.SERVICES = {**HTTP, "email": {"BACKEND": "foundation.email.DjangoEmail", "OPTIONS": options}}

    assert ids() == ["foundation.E002"]


@pytest.mark.parametrize("config", [{"BACKEND": "foundation.sms.NoSuchSms"}, {"BACKEND": "nowhere"}, {}])
def test_what_cannot_be_loaded_is_refused(settings: Settings, config: dict[str, Any]):
    settings.SERVICES = {**HTTP, "sms": config}

    assert ids() == ["foundation.E001"]


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("http://sms.example", ["foundation.W001"]),
        ("http://10.0.0.5:8080", ["foundation.W001"]),
        ("http://127.0.0.1:8900", []),
        ("http://[::1]:8900", []),
        ("http://localhost:8900", []),
        ("http://gateway:8900", []),
        ("https://sms.example", []),
    ],
)
def test_an_open_connection_to_far_away_is_warned_of(settings: Settings, url: str, warned: list[str]):
    settings.SERVICES = {**HTTP, "sms": {"BACKEND": "foundation.sms.HttpSms", "OPTIONS": {"url": url}}}

    assert ids() == warned


@pytest.mark.parametrize(
    ("options", "warned"),
    [
        ({"host": "smtp.example"}, ["foundation.W001"]),
        ({"host": "smtp.example", "use_tls": True}, []),
        ({"host": "smtp.example", "use_ssl": True}, []),
        ({"host": "localhost"}, []),
    ],
)
def test_open_smtp_to_far_away_is_warned_of(settings: Settings, options: dict[str, Any], warned: list[str]):
    settings.SERVICES = {**HTTP, "email": {"BACKEND": "foundation.email.DjangoEmail", "OPTIONS": options}}

    assert ids() == warned


def test_debug_is_refused(settings: Settings):
    settings.DEBUG = True

    assert ids() == ["foundation.E003"]


@pytest.mark.parametrize(
    "value", ["", "short", "change-me-" * 5, "django-insecure-" + "abcdefghijklmnopqrstuvwxyz0123456789"]
)
def test_a_weak_secret_key_is_refused(settings: Settings, value: str):
    settings.SECRET_KEY = value

    assert ids() == ["foundation.E004"]


WEAK = ["", "not base64!", base64.b64encode(bytes(range(16))).decode(), base64.b64encode(b"A" * 32).decode()]


@pytest.mark.parametrize(
    "ring", [*WEAK, *(f"1:{key}" for key in WEAK), key(), f"0:{key()}", f"256:{key()}", f"1:{key()},1:{key(9)}"]
)
def test_a_weak_or_broken_key_ring_is_refused(settings: Settings, ring: str):
    settings.SEALING_KEYS = ring

    assert ids() == ["foundation.E005"]


@pytest.mark.parametrize("value", WEAK)
def test_a_weak_digest_key_is_refused(settings: Settings, value: str):
    settings.DIGEST_KEY = value

    assert ids() == ["foundation.E006"]


def test_one_key_for_two_things_is_refused(settings: Settings):
    settings.SEALING_KEYS = f"1:{settings.DIGEST_KEY}"

    assert ids() == ["foundation.E007"]


def test_no_message_shows_a_key(settings: Settings):
    settings.DIGEST_KEY = "hunter2"

    assert "hunter2" not in str(keys_are_real(None))
