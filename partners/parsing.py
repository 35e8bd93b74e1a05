"""JSON as it comes in: in bounds, and with one meaning only."""

import json
import math
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from partners import problems

MAX_BYTES = 10_000_000
MAX_DEPTH = 20


class Unreadable(ValueError):
    """Not JSON as we take it; the text says why and quotes nothing."""


class StrictJSONParser(BaseParser):
    """UTF-8, at most 10 MB, 20 deep, no name twice in an object, no NaN: else 400 or 413."""

    media_type = "application/json"

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        body = stream.read(MAX_BYTES + 1)
        if len(body) > MAX_BYTES:
            raise problems.too_large()
        try:
            return read(body)
        except Unreadable as error:
            raise ParseError(str(error)) from None


def read(body: bytes) -> Any:
    """The value that these bytes are the JSON of. Raises `Unreadable`."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise Unreadable("The body is not UTF-8.") from None
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_float)
    except RecursionError:
        raise Unreadable(_TOO_DEEP) from None
    except Unreadable:
        raise
    except ValueError:
        raise Unreadable("The body is not JSON.") from None
    _check_depth(value)
    if "\\u" in text:
        _check_text(value)
    return value


_TOO_DEEP = f"The JSON is more than {MAX_DEPTH} deep."


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise Unreadable("A name stands twice in an object.")
    return made


def _constant(word: str) -> Any:
    raise Unreadable("NaN and Infinity are no JSON.")


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise Unreadable("A number is too large.")
    return value


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for parent in level
            if isinstance(parent, dict | list)
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    raise Unreadable(_TOO_DEEP)


def _check_text(value: Any) -> None:
    """Written with escapes, text can hold what no database can."""
    found = json.dumps(value, ensure_ascii=False)
    if any("\ud800" <= sign <= "\udfff" for sign in found):
        raise Unreadable("Half of a surrogate pair is no text.")
    if "\\u0000" in found.replace("\\\\", ""):
        raise Unreadable("NUL is no text.")
