"""Tokens for partners' programs: asked for with their credentials (RFC 6749, 4.4), good for an hour, kept hashed."""

import base64
from typing import Any
from urllib.parse import unquote_plus

from django.db.models.functions import Now
from django.http import HttpRequest
from oauth2_provider.models import AccessToken
from oauth2_provider.oauth2_validators import OAuth2Validator
from oauth2_provider.views.mixins import OAuthLibMixin

from partners.limits import Tries


class Validator(OAuth2Validator):  # type: ignore[misc]
    """As the toolkit's; what no database can hold is nobody's, and what is no ASCII is no base64."""

    def _extract_basic_auth(self, request: Any) -> Any:
        found = super()._extract_basic_auth(request)
        return found if found and found.isascii() else None

    def _load_application(self, client_id: str | None, request: Any) -> Any:
        if not client_id or "\0" in client_id:
            return None
        return super()._load_application(client_id, request)


class _Endpoint(OAuthLibMixin):  # type: ignore[misc]
    pass


def answer(request: HttpRequest) -> tuple[str, int, dict[str, str]]:
    """What to answer to somebody who asks for a token: body, status and headers, as RFC 6749 has them.

    Raises `Throttled` when the client has failed too often.
    """
    tries = Tries(request, _clients(request))
    tries.check()
    _, headers, body, status = _Endpoint().create_token_response(request)
    if status == 401:
        tries.failed()
    return body, status, headers


def _clients(request: HttpRequest) -> set[str]:
    """Whom the caller says it is, by HTTP Basic and in the form: where the one is wrong, the toolkit tries the other."""
    try:
        basic = base64.b64decode(request.headers.get("Authorization", "").partition(" ")[2]).decode()
    except ValueError:
        basic = ""
    return {unquote_plus(basic.partition(":")[0]), request.POST.get("client_id", "")}


def forget() -> int:
    """Delete tokens that have expired; return how many."""
    deleted, _ = AccessToken.objects.filter(expires__lt=Now()).delete()
    return int(deleted)
