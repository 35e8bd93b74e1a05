"""Production does not start with mock services, made-up keys, or DEBUG."""

import base64
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from foundation import webhooks

#: The tag of what production asks for, for commands that run no other checks.
PRODUCTION = "production"

KEY_BYTES = 32
#: A key with fewer different characters or bytes than this was typed, not drawn.
FEWEST_DIFFERENT = 10
_DJANGOS_OWN = "django.core.mail.backends."


def services_are_real(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """No mock takes a real person's place."""
    if not settings.PRODUCTION:
        return []
    return [message for name, config in settings.SERVICES.items() for message in _service(name, config)]


def _service(name: str, config: dict[str, Any]) -> Iterator[CheckMessage]:
    options = config.get("OPTIONS", {})
    for number, provider in enumerate(options.get("providers", ()), start=1):
        yield from _service(name if number == 1 else f"{name}_{number}", provider)
    try:
        backend = import_string(config["BACKEND"])
    except (ImportError, KeyError):
        yield Error(f"The back end of the service '{name}' cannot be loaded.", id="foundation.E001")
        return
    sends_nothing = options.get("backend", "").startswith(_DJANGOS_OWN) and ".smtp." not in options["backend"]
    if getattr(backend, "mock", False) or sends_nothing:
        yield Error(
            f"The service '{name}' is a mock: in production it would verify people who do not exist.",
            hint=f"Set {name.upper()}_URL, or another back end in SERVICES (docs/services.md).",
            id="foundation.E002",
        )
    open_http = not options.get("url", "https:").startswith("https:") and not _is_near(urlsplit(options["url"]).hostname)
    smtp = "host" in options and not _is_near(options["host"])
    if open_http or (smtp and not (options.get("use_tls") or options.get("use_ssl"))):
        yield Warning(f"The service '{name}' is asked over an unencrypted connection.", id="foundation.W001")


def _is_near(host: str | None) -> bool:
    """On this machine, or a container beside us: a name without dots."""
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return bool(host) and "." not in str(host)


def keys_are_real(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Every key is set, long enough, drawn at random, and used for one thing only."""
    if not settings.PRODUCTION:
        return []
    return list(_keys())


def _keys() -> Iterator[CheckMessage]:
    if settings.DEBUG:
        yield Error("DEBUG is on: error pages would show personal data.", id="foundation.E003")
    try:
        secret = settings.SECRET_KEY
    except ImproperlyConfigured:  # Django's way to say that it is empty
        secret = ""
    if len(secret) < KEY_BYTES or len(set(secret)) < FEWEST_DIFFERENT or secret.startswith("django-insecure-"):
        yield Error("SECRET_KEY is missing, short or an example.", hint=_HINT, id="foundation.E004")
    ring = [part.strip().partition(":") for part in settings.SEALING_KEYS.split(",")]
    ids = {int(key_id) for key_id, _, _ in ring if key_id.isdecimal()} & set(range(1, 256))
    if len(ids) < len(ring) or not all(_is_strong(key) for _, _, key in ring):
        yield Error(
            "SEALING_KEYS is missing, short, an example, or not of the form id:base64,id:base64.",
            hint=_HINT,
            id="foundation.E005",
        )
    if not all(map(_can_sign, settings.SMS_RECEIPT_SECRETS)):
        yield Error("SMS_RECEIPT_SECRETS holds a secret that is short, an example, or not base64.", id="foundation.E008")
    if not _is_strong(settings.DIGEST_KEY):
        yield Error("DIGEST_KEY is missing, short or an example.", hint=_HINT, id="foundation.E006")
    keys = [secret, settings.DIGEST_KEY, *(key for _, _, key in ring)]
    if all(keys) and len(set(keys)) < len(keys):
        yield Error("One key is used for two things.", hint=_HINT, id="foundation.E007")


_HINT = "Draw 32 bytes for each: openssl rand -base64 32"


def _can_sign(secret: str) -> bool:
    try:
        value = webhooks.secret_bytes(secret)
    except ValueError:
        return False
    return len(value) >= webhooks.FEWEST_SECRET_BYTES and len(set(value)) >= FEWEST_DIFFERENT


def _is_strong(key: str) -> bool:
    try:
        value = base64.b64decode(key, validate=True)
    except ValueError:
        return False
    return len(value) == KEY_BYTES and len(set(value)) >= FEWEST_DIFFERENT
