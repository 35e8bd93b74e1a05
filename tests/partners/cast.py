"""Partners, their programs, and calls as they make them."""

import json
import secrets
import time
from datetime import timedelta
from typing import Any

from django.utils import timezone
from oauth2_provider.models import AccessToken, set_token_value
from rest_framework.test import APIClient

from partners import keys, signature
from partners.models import Client, Partner, Secret
from partners.scopes import Scope

SIGN_KEY = b"my_sign_key"
COMMIT = "/api/v1/integration/payment/redeem-code/commit"


def make_partner(code: str = "tokopedia", *, platform: bool = True, provider: bool = False, payer: bool = False) -> Partner:
    """A partner whose sign key is `SIGN_KEY`."""
    partner, is_new = Partner.objects.get_or_create(
        pk=code, defaults={"name": code.title(), "is_platform": platform, "is_provider": provider, "is_payer": payer}
    )
    if is_new:
        keys.keep(code, Secret.Use.SIGN, SIGN_KEY)
    return partner


def token_of(partner: Partner, *scopes: str, seconds: int = 3600) -> str:
    """A token for these scopes (without any: for all), good for so long."""
    client, _ = Client.objects.get_or_create(partner=partner, name="test", defaults={"scopes": list(Scope)})
    token = AccessToken(
        application=client,
        scope=" ".join(scopes or list(Scope)),
        expires=timezone.now() + timedelta(seconds=seconds),
    )
    raw = secrets.token_urlsafe(20)
    set_token_value(token, raw)
    token.save()
    return raw


class Api(APIClient):
    """A partner's program: JSON, its token, and a new key for each write unless it brings one."""

    def __init__(self, token: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.default_format = "json"
        if token:
            self.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")

    def generic(self, method: str, path: str, *args: Any, **extra: Any) -> Any:  # type: ignore[override]
        if method not in ("GET", "HEAD", "OPTIONS") and "HTTP_IDEMPOTENCY_KEY" not in extra:
            extra["HTTP_IDEMPOTENCY_KEY"] = secrets.token_hex(8)
        return super().generic(method, path, *args, **extra)

    def write(self, path: str, body: Any, *, key: str, method: str = "POST") -> Any:
        """A write under a key of one's own."""
        content = json.dumps(body)
        return self.generic(method, path, content, "application/json", HTTP_IDEMPOTENCY_KEY=key)


def api(partner: Partner, *scopes: str) -> Api:
    return Api(token_of(partner, *scopes))


def an_address() -> str:
    """From where somebody calls: most likely nobody else does."""
    return f"10.{secrets.randbelow(256)}.{secrets.randbelow(256)}.{secrets.randbelow(256)}"


def signed(
    partner: Partner | str,
    method: str = "POST",
    path: str = COMMIT,
    body: bytes = b"",
    *,
    key: bytes = SIGN_KEY,
    at: int = 0,
) -> dict[str, str]:
    """The headers of a call that is signed over these bytes, as Django's test client takes them."""
    timestamp = str(at or int(time.time()))
    said = signature.Given(str(partner), timestamp, "", method, path, body)
    mac = signature.sign(key, signature.text(said, body))
    return {"HTTP_CLIENT_CODE": str(partner), "HTTP_TIMESTAMP": timestamp, "HTTP_SIGNATURE": mac}
