"""Long lists in pages: the answer's `next` leads on; what is new meanwhile shifts nothing."""

import base64
import binascii
import json
from functools import cache
from typing import Any, Generic, NamedTuple, TypeVar

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import Model, QuerySet
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from partners.closed import Closed

USUAL, MOST = 100, 1000

M = TypeVar("M", bound=Model)


class PageQuery(Closed):
    """The parameters of every list; a list's own filters are fields of a subclass."""

    limit = serializers.IntegerField(min_value=1, max_value=MOST, default=USUAL, help_text="So many at most.")
    cursor = serializers.CharField(max_length=200, required=False, help_text="Out of the `next` of the page before.")


class Page(NamedTuple, Generic[M]):
    rows: list[M]
    #: The cursor of the page that follows; none: this is the last one.
    following: str | None


def page(found: QuerySet[M], asked: dict[str, Any], *, by: str = "-pk") -> Page[M]:
    """One page of `found`, in the order of `by`, a unique field that never changes. `asked` is a validated `PageQuery`.

    Raises `ValidationError` for a cursor that is not ours.
    """
    name, backwards = by.removeprefix("-"), by.startswith("-")
    if cursor := asked.get("cursor"):
        found = found.filter(**{f"{name}__{'lt' if backwards else 'gt'}": _position(cursor, found, name)})
    rows = list(found.order_by(by)[: asked["limit"] + 1])
    more = len(rows) > asked["limit"]
    rows = rows[: asked["limit"]]
    return Page(rows, _cursor(getattr(rows[-1], name)) if more else None)


def listed(request: Request, page: Page[Any], form: type[serializers.Serializer[Any]]) -> dict[str, Any]:
    """A page as it is answered: `{"items": [...], "next": "https://..."}`."""
    return {"items": form(page.rows, many=True).data, "next": _next(request, page.following)}


@cache
def answered(form: type[serializers.Serializer[Any]]) -> type[serializers.Serializer[Any]]:
    """For the schema: a page of these."""
    name = form.__name__.removesuffix("Serializer")
    fields = {
        "items": form(many=True),
        "next": serializers.URLField(allow_null=True, help_text="The page that follows; null: this is the last one."),
    }
    return type(f"{name}Page", (serializers.Serializer,), fields)


def _next(request: Request, following: str | None) -> str | None:
    if following is None:
        return None
    query = request.query_params.copy()
    query["cursor"] = following
    return request.build_absolute_uri(f"{request.path}?{query.urlencode()}")


def _cursor(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value, default=str).encode()).decode().rstrip("=")


def _position(cursor: str, found: QuerySet[Any], name: str) -> Any:
    meta = found.model._meta
    field = meta.pk if name == "pk" else meta.get_field(name)
    try:
        said = json.loads(base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), b"-_", validate=True))
        if type(said) not in (int, str) or (isinstance(said, int) and abs(said) >= 2**63):
            raise ValueError
        return field.to_python(said)
    except (ValueError, RecursionError, binascii.Error, DjangoValidationError):
        raise ValidationError({"cursor": ["It is not one of ours."]}) from None
