"""Many at once: up to 10,000 rows in a call, each with a result of its own; one bad row does not hold up the others."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from partners import problems
from partners.closed import Closed
from partners.problems import Problem

MOST = 10_000

#: Of a row: what was done, or the problem with it.
Result = Mapping[str, Any] | Problem


def each(
    request: Request,
    row: type[Closed],
    act: Callable[[Sequence[dict[str, Any]]], Sequence[Result]],
    *,
    context: Mapping[str, Any] | None = None,
) -> Response:
    """Take `{"items": [...]}`, let `act` have the valid rows as one set, and answer with a result per row, in order.

    `act` gets the validated rows and returns for each, in order, what was done or a `Problem` (returned, not raised). Raises
    `ValidationError` when there are no rows or too many; then nothing is done.
    """
    items = _items(request.data)
    results: list[dict[str, Any]] = [{} for _ in items]
    valid: list[tuple[int, dict[str, Any]]] = []
    # One serializer for all rows: to make its fields costs more than to run them.
    form = row(context=dict(context or {}))
    for index, item in enumerate(items):
        try:
            valid.append((index, form.run_validation(item)))
        except ValidationError as error:
            results[index] = refused(index, error)
    done = act([found for _, found in valid]) if valid else []
    for (index, _), result in zip(valid, done, strict=True):
        results[index] = refused(index, result) if isinstance(result, Problem) else _done(index, result)
    return Response({"results": results})


def refused(index: int, error: Problem | ValidationError) -> dict[str, Any]:
    return {"index": index, "outcome": "refused", "problem": problems.document(error)}


def _done(index: int, result: Mapping[str, Any]) -> dict[str, Any]:
    return {"index": index, "outcome": "done", "result": dict(result)}


def _items(data: Any) -> list[Any]:
    if not isinstance(data, dict) or not isinstance(data.get("items"), list):
        raise ValidationError({"items": ["A list of rows is wanted."]})
    if unknown := data.keys() - {"items"}:
        raise ValidationError({key: ["Unknown field."] for key in sorted(unknown)})
    items: list[Any] = data["items"]
    if not 1 <= len(items) <= MOST:
        raise ValidationError({"items": [f"1 to {MOST} rows are taken."]})
    return items


@cache
def asked(row: type[Closed]) -> type[serializers.Serializer[Any]]:
    """For the schema: what is sent, rows of this form."""
    items = serializers.ListField(child=row(), min_length=1, max_length=MOST)
    return type(f"Many{row.__name__}", (Closed,), {"items": items, "__doc__": f"Up to {MOST} rows."})


@cache
def answered(done: type[serializers.Serializer[Any]]) -> type[serializers.Serializer[Any]]:
    """For the schema: what is answered, with results of this form."""
    fields = {
        "index": serializers.IntegerField(help_text="The row's place, from 0."),
        "outcome": serializers.ChoiceField(["done", "refused"]),
        "result": done(required=False),
        "problem": serializers.DictField(required=False, help_text="As of a single call (RFC 9457)."),
    }
    result = type(f"{done.__name__}Result", (serializers.Serializer,), fields)
    return type(f"Many{done.__name__}Results", (serializers.Serializer,), {"results": result(many=True)})
