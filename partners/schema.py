"""The API's schema: what an endpoint does not say itself, it has in common with the others, and it is said here."""

import re
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers

from partners import closed, idempotency, paging, problems
from partners.auth import needed
from partners.scopes import Scope


class Problem(serializers.Serializer[Any]):
    """A problem (RFC 9457). Some have members of their own beside these."""

    type = serializers.CharField(help_text="urn:prakerja:problem: and a name that does not change.")
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField(required=False)
    errors = serializers.DictField(  # type: ignore[assignment]
        child=serializers.ListField(child=serializers.CharField()), required=False, help_text="Sentences by field."
    )


SAID = {
    400: "The request is malformed, or some of it is not right.",
    401: "Who calls is not known: no token or signature, or one that is wrong or has expired.",
    403: "This is not for the caller.",
    404: "There is no such thing, or it is somebody else's.",
    405: "There is no such method here.",
    409: "It does not go with how things stand; or the same request is being worked on.",
    413: "The request is too large.",
    415: "Only the media types of the request's body are taken.",
    422: "It cannot be done; or the Idempotency-Key was used for another request.",
    429: "Too many requests: see Retry-After.",
    503: "Not available for a moment: see Retry-After.",
}


#: What each answer to a call that counts says of the caller's limit (`partners.limits`).
LIMITS = {
    f"RateLimit-{name}": {"schema": {"type": kind}, "description": description}
    for name, kind, description in (
        ("Limit", "integer", "So many calls a minute."),
        ("Remaining", "integer", "So many are left."),
        ("Reset", "integer", "Until all is given back, in seconds."),
        ("Policy", "string", "The limit, and its window in seconds: `6000;w=60`."),
    )
}


class Schema(AutoSchema):
    """Adds to each operation its problems, its query parameters and, where it needs one, the key that makes it repeatable."""

    def get_operation_id(self) -> str:
        name: str = super().get_operation_id()
        is_list = issubclass(closed.query_form(self.view, self.method), paging.PageQuery)
        return name.replace("_retrieve", "_list") if is_list else name

    def get_tags(self) -> list[str]:
        return [self._tokenize_path()[0]]

    def get_override_parameters(self) -> list[Any]:
        found: list[Any] = []
        form = closed.query_form(self.view, self.method)
        if form is not closed.NoQuery:
            found.append(form)
        if self._is_idempotent():
            found.append(
                OpenApiParameter(
                    idempotency.HEADER,
                    {"type": "string", "minLength": 1, "maxLength": idempotency.LONGEST_KEY, "pattern": "^[!-~]+$"},
                    OpenApiParameter.HEADER,
                    required=True,
                    description="A new one for each act, e.g. a UUID. The same request under the same key is answered the same.",
                )
            )
        return found

    def _is_idempotent(self) -> bool:
        return bool(getattr(getattr(self.view, self.method.lower(), None), "is_idempotent", False))

    def _get_response_for_code(
        self, serializer: Any, status_code: str, media_types: Any = None, direction: Any = "response"
    ) -> dict[str, Any]:
        if media_types is None and serializer is Problem:
            media_types = [problems.MEDIA_TYPE]
        found: dict[str, Any] = super()._get_response_for_code(  # type: ignore[no-untyped-call]
            serializer, status_code, media_types, direction
        )
        return found

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        found: dict[str, Any] = super()._get_response_bodies(direction)
        if direction == "response":
            form = getattr(self.view, "problem_form", Problem)
            media_types = [getattr(self.view, "problem_type", problems.MEDIA_TYPE)]
            for status in self._statuses():
                if str(status) not in found:
                    told = self._get_response_for_code(form, str(status), media_types)
                    found[str(status)] = told | {"description": SAID[status]}
        return dict(sorted(found.items()))

    def _statuses(self) -> set[int]:
        """What may go wrong with an operation of this kind."""
        found = {400, 405, 429, 503}
        if self.view.authentication_classes:
            found |= {401, 403}
        if "{" in self.path:
            found |= {404}
        if self.method in ("POST", "PUT", "PATCH"):
            found |= {413, 415}
        if self._is_idempotent():
            found |= {409, 422}
        return found

    def _get_response_headers_for_code(self, status_code: str, direction: Any = "response") -> dict[str, Any]:
        found: dict[str, Any] = super()._get_response_headers_for_code(status_code, direction)
        if status_code in ("429", "503"):
            found["Retry-After"] = {"schema": {"type": "integer"}, "description": "Seconds.", "required": True}
        if direction == "response" and self._is_counted(int(status_code)):
            # An address that is none of ours is not counted, and answered 404 as well.
            found |= {name: header | {"required": status_code != "404"} for name, header in LIMITS.items()}
        return found

    def _is_counted(self, status: int) -> bool:
        """Whether calls that are answered so count: who calls, and whether they may, is looked at before."""
        return status not in ((401, 403, 405, 503) if self.view.authentication_classes else (405, 503))


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "partners.auth.Bearer"
    name = "token"

    def get_security_requirement(self, auto_schema: Any) -> dict[str, list[Any]]:
        scope = needed(auto_schema.view, auto_schema.method)
        return {self.name: [scope.value] if scope else []}

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        scopes = {scope.value: scope.label for scope in Scope}
        return {"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": "/api/v1/oauth/token", "scopes": scopes}}}


class SignatureScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "partners.auth.Signed"
    name = ["clientCode", "timestamp", "signature"]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, Any]]:
        said = ("Your code.", "Unix seconds, of the last five minutes.", "HMAC-SHA1, hexadecimal: see docs/partners.md.")
        names = ("client_code", "timestamp", "signature")
        return [
            {"type": "apiKey", "in": "header", "name": name, "description": description}
            for name, description in zip(names, said, strict=True)
        ]


def of_the_api_only(endpoints: list[Any]) -> list[Any]:
    """Preprocessing hook: what is under /api/v1."""
    return [endpoint for endpoint in endpoints if re.match(r"/api/v\d", endpoint[0])]
