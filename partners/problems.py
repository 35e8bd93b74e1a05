"""What goes wrong, told as RFC 9457 has it: every error of the API is `application/problem+json`.

`type` is `urn:prakerja:problem:` and a name that does not change; `title` and `detail` are for people. Where single fields are at
fault, `errors` has a list of sentences for each.
"""

import logging
import traceback
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, UnreadablePostError
from django.utils import translation
from rest_framework import exceptions
from rest_framework.exceptions import APIException
from rest_framework.response import Response
from rest_framework.serializers import as_serializer_error

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
PREFIX = "urn:prakerja:problem:"
#: How long to wait when the database is away, in seconds.
COME_BACK_AFTER = 5

#: The names of what HTTP itself can say.
NAMES = {
    400: "bad-request",
    401: "not-authenticated",
    403: "not-allowed",
    404: "not-found",
    405: "method-not-allowed",
    409: "conflict",
    413: "too-large",
    415: "unsupported-media-type",
    422: "unprocessable",
    429: "too-many-requests",
    500: "our-fault",
    503: "unavailable",
}


class Problem(APIException):
    """A problem with a name of its own: `raise Problem("balance-too-small", 422, "The balance is too small.", balance=50_000)`.

    `detail` says more of this case; further members stand beside it in the answer. `transient`: the same may go well the next
    time, so it is not remembered under an idempotency key.
    """

    def __init__(
        self,
        name: str,
        status: int,
        title: str,
        *,
        detail: str = "",
        errors: Mapping[str, list[str]] | None = None,
        headers: Mapping[str, str] | None = None,
        transient: bool = False,
        **members: Any,
    ) -> None:
        super().__init__(title)
        self.name = name
        self.status_code = status
        self.title = title
        self.said = detail
        self.errors = errors
        self.headers = dict(headers or {})
        self.transient = transient
        self.members = members


def document(error: APIException) -> dict[str, Any]:
    """The problem as JSON; also for the rows of a bulk answer."""
    if isinstance(error, Problem):
        found = written(error.status_code, name=error.name, title=error.title, detail=error.said)
        return found | ({"errors": error.errors} if error.errors else {}) | error.members
    if isinstance(error, exceptions.ValidationError):
        return written(400, title="Some of what was sent is not right.") | {"errors": _flat(as_serializer_error(error))}
    return written(error.status_code, detail=str(error.detail))


def written(status: int, *, name: str = "", title: str = "", detail: str = "") -> dict[str, Any]:
    return {
        "type": PREFIX + (name or NAMES.get(status, "other")),
        "title": title or HTTPStatus(status).phrase,
        "status": status,
    } | ({"detail": detail} if detail else {})


def answer(error: APIException) -> Response:
    """The problem as an answer."""
    headers = dict(getattr(error, "headers", {}))
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(max(1, round(wait)))
    return Response(document(error), error.status_code, headers=headers, content_type=MEDIA_TYPE)


def handler(error: Exception, context: Mapping[str, Any]) -> Response:
    """DRF's exception handler: whatever was raised becomes a problem, in English, and nothing of its text leaks."""
    with translation.override("en"):
        return _answer_to(error, context)


def _answer_to(error: Exception, context: Mapping[str, Any]) -> Response:
    match error:
        case APIException():
            return answer(error)
        case Http404():
            return answer(exceptions.NotFound())
        case DjangoPermissionDenied():
            return answer(exceptions.PermissionDenied())
        case RequestDataTooBig():
            return answer(too_large())
        case SuspiciousOperation() | UnreadablePostError():
            return answer(exceptions.ParseError("The request could not be read."))
        case OperationalError() | InterfaceError():
            return answer(unavailable())
    # The type and where, never the text: it may quote personal data.
    where = "".join(traceback.format_tb(error.__traceback__))
    log.error("%s in %s\n%s", type(error).__qualname__, type(context.get("view")).__qualname__, where)
    return answer(Problem("our-fault", 500, "We have made a mistake.", transient=True))


def too_large() -> Problem:
    return Problem("too-large", 413, "The request is too large.")


def unavailable() -> Problem:
    wait = {"Retry-After": str(COME_BACK_AFTER)}
    return Problem("unavailable", 503, "We are not available for a moment.", headers=wait, transient=True)


def _flat(errors: Any, path: str = "") -> dict[str, list[str]]:
    """Sentences by the path of their field: `items.3.price`."""
    if isinstance(errors, dict):
        found: dict[str, list[str]] = {}
        for name, below in errors.items():
            found |= _flat(below, f"{path}.{name}" if path else str(name))
        return found
    if isinstance(errors, list) and any(isinstance(entry, dict | list) for entry in errors):
        return _flat(dict(enumerate(errors)), path)
    return {path: [str(entry) for entry in errors]} if errors else {}
