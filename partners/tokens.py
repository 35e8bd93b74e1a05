"""Tokens for partners' programs: asked for with their credentials (RFC 6749, 4.4), good for an hour, kept hashed."""

from typing import Any

from django.db.models.functions import Now
from django.http import HttpRequest
from oauth2_provider.models import AccessToken
from oauth2_provider.oauth2_validators import OAuth2Validator
from oauth2_provider.views.mixins import OAuthLibMixin


class Validator(OAuth2Validator):  # type: ignore[misc]
    """As the toolkit's; what no database can hold is nobody's."""

    def _load_application(self, client_id: str | None, request: Any) -> Any:
        if not client_id or "\0" in client_id:
            return None
        return super()._load_application(client_id, request)


class _Endpoint(OAuthLibMixin):  # type: ignore[misc]
    pass


def answer(request: HttpRequest) -> tuple[str, int, dict[str, str]]:
    """What to answer to somebody who asks for a token: body, status and headers, as RFC 6749 has them."""
    _, headers, body, status = _Endpoint().create_token_response(request)
    return body, status, headers


def forget() -> int:
    """Delete tokens that have expired; return how many."""
    deleted, _ = AccessToken.objects.filter(expires__lt=Now()).delete()
    return int(deleted)
