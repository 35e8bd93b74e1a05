"""Answers in a form that was never agreed on."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

Json: TypeAlias = dict[str, Any]


class Bent(NamedTuple):
    content: bytes
    content_type: str = "application/json"
    #: How many records, from the first one on, it leaves without an answer in due form; None: all.
    spoiled: int | None = None


def bend(answer: Json, which: float) -> Bent:
    """Nonsense in the answer's place; `which`, from 0 to 1, chooses among the kinds."""
    [(name, entries)] = answer.items()
    return _KINDS[int(which * len(_KINDS))](name, entries)


def _json(value: Any, spoiled: int | None = None) -> Bent:
    return Bent(json.dumps(value).encode(), spoiled=spoiled)


def _asked_something_else(name: str, entries: list[Json]) -> Bent:
    return _json({name: [{key: str(value) + "?" for key, value in entry.items()} for entry in entries]})


_KINDS: list[Callable[[str, list[Json]], Bent]] = [
    lambda name, entries: _json({"error": "try again"}),
    lambda name, entries: _json(entries),
    lambda name, entries: _json({name: None}),
    lambda name, entries: _json({name: entries[1:]}, spoiled=1),
    _asked_something_else,
    lambda name, entries: _json({name: [{**entry, "note": ""} for entry in entries]}),
    lambda name, entries: _json({name: [{**entry, "note": ""} for entry in entries[:1]] + entries[1:]}, spoiled=1),
    lambda name, entries: _json({name: entries[:1] + entries}, spoiled=1),
    lambda name, entries: _json({name: entries, "error": "partial"}),
    lambda name, entries: Bent(json.dumps({name: entries}).encode()[:-1]),
    lambda name, entries: Bent(b"<html><title>Pemeliharaan</title></html>", "text/html; charset=utf-8"),
]
