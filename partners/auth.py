"""Who calls, and what they may do. Nothing is allowed that is not said here or at an endpoint."""

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from django.contrib.auth.models import AnonymousUser
from django.db import connection
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, MethodNotAllowed, NotAuthenticated
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from partners import limits, signature
from partners.models import Partner
from partners.scopes import Scope

if TYPE_CHECKING:  # it reads the settings, which name what is here
    from rest_framework.views import APIView


class Caller(NamedTuple):
    """A partner, and what its program has been allowed: `request.auth`."""

    partner: Partner
    scopes: frozenset[str]


def scopes_of(partner: Partner) -> list[Scope]:
    """What its programs may be allowed, by its parts."""
    return [scope for scope in Scope if any(getattr(partner, part) for part in scope.parts)]


def partner_of(request: Request) -> Partner:
    """Whose call it is. Everything that is read or written for it is looked up through this partner."""
    if not isinstance(request.auth, Caller):
        raise NotAuthenticated
    return request.auth.partner


class Bearer(BaseAuthentication):
    """A token of ours (RFC 6750), by the database's clock."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, Caller] | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        with connection.cursor() as cursor:
            cursor.execute(
                f"""
                SELECT token.scope, {Partner.columns()}
                FROM oauth2_provider_accesstoken token JOIN partners_client client ON client.id = token.application_id
                JOIN partners_partner partner ON partner.code = client.partner_id
                WHERE token_checksum = %s AND expires > statement_timestamp() AND is_active
                """,
                [hashlib.sha256(token.strip().encode()).hexdigest()],
            )
            found = cursor.fetchone()
        if found is None:
            raise AuthenticationFailed("The token is unknown or has expired.")
        scope, *row = found
        partner = Partner(*row)
        return AnonymousUser(), Caller(partner, frozenset(scope.split()).intersection(scopes_of(partner)))

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="prakerja"'


class Signed(BaseAuthentication):
    """The older form, signed with HMAC-SHA1: the partner is known, scopes there are none."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, Caller]:
        call = request._request
        tries = limits.Tries(call, [signature.given(call).client_code])
        tries.check()
        try:
            partner = signature.verify(call)
        except signature.Refused as refusal:
            tries.failed()
            raise AuthenticationFailed(str(refusal)) from None
        return AnonymousUser(), Caller(partner, frozenset())

    def authenticate_header(self, request: Request) -> str:
        return 'Signature realm="prakerja"'


class Denied(BasePermission):
    """What an endpoint that says nothing allows."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        return False


class HasScope(BasePermission):
    """For partners' programs with the scope that the endpoint names for the method: `scopes = {"GET": Scope.FUNNEL_READ}`."""

    message = "The token is not for this."

    def has_permission(self, request: Request, view: "APIView") -> bool:
        scope = needed(view, request.method)
        return isinstance(request.auth, Caller) and scope is not None and scope in request.auth.scopes


class HasToken(BasePermission):
    """For every program of a partner's, whatever its token is for."""

    message = "This is for partners' programs."

    def has_permission(self, request: Request, view: "APIView") -> bool:
        return isinstance(request.auth, Caller)


class HasSigned(BasePermission):
    """For partners who have signed the call."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        refuse_other_methods(request, view)
        return isinstance(request.auth, Caller)


class StaffOrScope(HasScope):
    """For the programme office's own people too."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        return bool(request.user and request.user.is_staff) or super().has_permission(request, view)


def needed(view: "APIView", method: str | None) -> Scope | None:
    """The scope that this method of the view needs. HEAD is a GET."""
    scopes: dict[str, Scope] = getattr(view, "scopes", {})
    return scopes.get("GET" if method == "HEAD" else method or "")


def refuse_other_methods(request: Request, view: "APIView") -> None:
    """That there is no such method comes before the question who may use it."""
    if not hasattr(view, (request.method or "").lower()) or request.method == "OPTIONS":
        raise MethodNotAllowed(request.method or "")
