"""PostgreSQL array literals of what may be missing, and of texts that others wrote."""

from collections.abc import Iterable
from datetime import datetime

from foundation.pg import instants


def texts(values: Iterable[str | None]) -> str:
    """Quoted, whatever is in them; None is NULL."""
    return "{{{}}}".format(",".join("NULL" if value is None else _quoted(value) for value in values))


def _quoted(value: str) -> str:
    return '"{}"'.format(value.replace("\\", r"\\").replace('"', r"\""))


def numbers(values: Iterable[int | None]) -> str:
    """None is NULL."""
    return "{{{}}}".format(",".join("NULL" if value is None else int.__repr__(value) for value in values))


def instants_or_null(values: Iterable[datetime | None]) -> str:
    """As `foundation.pg.instants`; None is NULL."""
    found = list(values)
    written = iter(instants(value for value in found if value is not None)[1:-1].split(","))
    return "{{{}}}".format(",".join("NULL" if value is None else next(written) for value in found))
