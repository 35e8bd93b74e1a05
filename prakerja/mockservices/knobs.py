"""What can be set, under one name everywhere: on the command line, in `/control.json` and on the control page."""

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    K = TypeVar("K", bound=DataclassInstance)
else:
    K = TypeVar("K")


class Wrong(ValueError):
    """No such name, or a value that it cannot have; the text is for whoever asked."""


class Knob(NamedTuple):
    name: str
    label: str
    unit: str
    most: float
    default: Any
    #: Stays as it is when all is made well.
    lasting: bool


def knob(label: str, *, unit: str = "", default: Any = 0.0, most: float = math.inf, lasting: bool = False) -> Any:
    """A field of a dataclass that can be set; numbers are at least 0 and at most `most`."""
    return dataclasses.field(default=default, metadata={"label": label, "unit": unit, "most": most, "lasting": lasting})


def percent(label: str) -> Any:
    return knob(label, unit="%", most=100)


def knobs(of: "type[DataclassInstance] | DataclassInstance") -> list[Knob]:
    return [Knob(field.name, default=field.default, **field.metadata) for field in dataclasses.fields(of)]


def changed(of: K, values: Mapping[str, Any]) -> K:
    """The same with these values, which may be JSON or text. Raises `Wrong`."""
    known = {knob.name: knob for knob in knobs(of)}
    if unknown := [name for name in values if name not in known]:
        raise Wrong(f"{unknown[0]}: no such name; there are {', '.join(known)}")
    return dataclasses.replace(of, **{name: _read(known[name], value) for name, value in values.items()})


def well(of: K) -> K:
    """The same without trouble."""
    return dataclasses.replace(of, **{knob.name: knob.default for knob in knobs(of) if not knob.lasting})


def text(value: Any) -> str:
    """A value as it is typed."""
    if isinstance(value, tuple):
        return " ".join(f"{text(start)}:{text(length)}" for start, length in value)
    return str(int(value)) if value == int(value) else str(value)


def number(name: str, value: Any, most: float = math.inf) -> float:
    """A number from 0 on, out of JSON or text. Raises `Wrong`."""
    try:
        found = _number(value)
    except (ValueError, TypeError, OverflowError):
        raise Wrong(f"{name}: {str(value)[:50]!r} is no number from 0 on") from None
    if found > most:
        raise Wrong(f"{name}: at most {text(most)}")
    return found


def _read(knob: Knob, value: Any) -> Any:
    if isinstance(knob.default, tuple):
        try:
            return _windows(value)
        except (ValueError, TypeError, OverflowError):
            raise Wrong(f"{knob.name}: {str(value)[:50]!r} is not of the form 60:600 900:30") from None
    found = number(knob.name, value, knob.most)
    if isinstance(knob.default, float):
        return found
    if found != int(found):
        raise Wrong(f"{knob.name}: {text(found)} is not whole")
    return int(found)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError
    found = float(value)
    if not math.isfinite(found) or found < 0:
        raise ValueError
    return found


def _windows(value: Any) -> tuple[tuple[float, float], ...]:
    """`60:600 900:30`, or pairs."""
    pairs = [part.split(":") for part in value.replace(",", " ").split()] if isinstance(value, str) else value
    return tuple((_number(start), _number(length)) for start, length in pairs)
