"""Writes that a partner may repeat: under one `Idempotency-Key` there is one act and one answer, for ever.

The act and its answer are written in one transaction, under a lock of PostgreSQL's that lives as long as the transaction: of many
at once one acts, and the others are told that it is in flight (409). If the process dies, transaction and lock are gone, nothing
has been done, and the next one acts. Another body under the same key is refused (422).
"""

import hashlib
import json
import zlib
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar
from uuid import UUID

import orjson
from django.core.files.uploadedfile import UploadedFile
from django.db import connection, transaction
from django.http import QueryDict
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from foundation.sealing import digest, seal, unseal
from partners import problems
from partners.auth import partner_of
from partners.models import Partner
from partners.problems import Problem

HEADER = "Idempotency-Key"
LONGEST_KEY = 255
#: What of the answer is kept beside status and body.
KEPT_HEADERS = ("Location",)

P = ParamSpec("P")
V = TypeVar("V")
Act = Callable[Concatenate[V, Request, P], Response]


def idempotent(act: Act[V, P]) -> Act[V, P]:
    """Make a view's method one that needs an `Idempotency-Key`: it runs in one transaction with the answer's being kept.

    Kept are good answers, and refusals that are about the matter (404, 409, 422 ...); not kept are malformed requests (400), and
    what may go well the next time (`Problem(transient=True)`, 429, 5xx). A refusal undoes what the method has written.
    """

    @wraps(act)
    def once(view: V, request: Request, /, *args: P.args, **kwargs: P.kwargs) -> Response:
        partner, key = partner_of(request), _key(request)
        asked = _digest_of(request)
        id = UUID(digest("partners.call", f"{partner.pk}:{key}"))
        with transaction.atomic():
            _lock(id)
            known = _known(id)
            if known is not None:
                if known.request != asked:
                    raise Problem("idempotency-key-reused", 422, "This Idempotency-Key was used for another request.")
                return _opened(id, known)
            answer = _acted(lambda: act(view, request, *args, **kwargs))
            if answer.status_code < 500 and answer.status_code not in (400, 429):
                _keep(id, partner, Known(asked, _sealed(id, answer)))
            return answer

    once.is_idempotent = True  # type: ignore[attr-defined]
    return once


def _key(request: Request) -> str:
    key = request.headers.get(HEADER, "")
    if not key:
        raise Problem("idempotency-key-missing", 400, f"The header {HEADER} is needed: a new one for each act, e.g. a UUID.")
    if len(key) > LONGEST_KEY or not all("!" <= sign <= "~" for sign in key):
        raise Problem("idempotency-key-malformed", 400, f"{HEADER}: 1 to {LONGEST_KEY} visible ASCII characters.")
    return key


def _lock(id: UUID) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [int.from_bytes(id.bytes[:8], signed=True)])
        if not cursor.fetchone()[0]:
            raise Problem(
                "in-flight", 409, "The same request is being worked on.", headers={"Retry-After": "1"}, transient=True
            )


class Known(NamedTuple):
    """A write that was answered (`partners.models.Call`)."""

    request: UUID
    answer: bytes


def _known(id: UUID) -> Known | None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT request, answer FROM partners_call WHERE id = %s", [id])
        row = cursor.fetchone()
    return Known._make(row) if row else None


def _keep(id: UUID, partner: Partner, known: Known) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO partners_call (id, partner_id, request, answer) VALUES (%s, %s, %s, %s)",
            [id, partner.pk, known.request, known.answer],
        )


def _acted(act: Callable[[], Response]) -> Response:
    try:
        with transaction.atomic():
            return act()
    except ValidationError:
        raise
    except APIException as refusal:
        if getattr(refusal, "transient", False) or refusal.status_code >= 500 or refusal.status_code == 429:
            raise
        return problems.answer(refusal)


def _digest_of(request: Request) -> UUID:
    """Of method, address and what is sent, whatever the order of its names."""
    data = request.data
    if isinstance(data, QueryDict):
        data = {name: [_content(value) for value in values] for name, values in sorted(data.lists())}
    said = json.dumps([request.method, request.get_full_path(), data], sort_keys=True, separators=(",", ":"))
    return UUID(digest("partners.call.request", said))


def _content(value: Any) -> str:
    if not isinstance(value, UploadedFile):
        return f"={value}"
    hashed = hashlib.sha256()
    for chunk in value.chunks():
        hashed.update(chunk)
    value.seek(0)
    return f"file:{hashed.hexdigest()}"


def _sealed(id: UUID, answer: Response) -> bytes:
    headers = {name: answer.headers[name] for name in KEPT_HEADERS if name in answer.headers}
    kept = [answer.status_code, headers, answer.content_type]
    packed = zlib.compress(orjson.dumps(kept) + b"\n" + (JSONRenderer().render(answer.data) or b"null"), 1)
    return seal(packed, b"partners_call:" + id.bytes)


def _opened(id: UUID, known: Known) -> Response:
    kept, _, body = zlib.decompress(unseal(known.answer, b"partners_call:" + id.bytes)).partition(b"\n")
    status, headers, content_type = orjson.loads(kept)
    return Response(json.loads(body), status, headers=headers | {"Idempotent-Replayed": "true"}, content_type=content_type)
