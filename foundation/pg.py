"""PostgreSQL in sets: array parameters and COPY for thousands of values in one statement."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.backends.utils import CursorWrapper


def array(values: Iterable[int] | Iterable[datetime] | Iterable[UUID] | Iterable[str]) -> str:
    """The values, all of one type, as one PostgreSQL array literal, to be cast in the statement: `%s::bigint[]`.

    One literal is parsed many times faster than the `ARRAY[...]` expression of thousands of constants that the driver
    would make of a list. Text is taken as it is: it must be digits or hexadecimal (keys, digests), never what people wrote.
    """
    found = list(values)
    write = _WRITE[type(found[0])] if found and type(found[0]) in _WRITE else int.__repr__
    return f"{{{','.join(map(write, found))}}}"


#: How the elements of an array are written, by the type of the first; any other is an integer of some kind.
_WRITE: dict[type, Callable[[Any], str]] = {datetime: datetime.isoformat, UUID: UUID.__str__, str: str}


# Instants go to and fro as microseconds since 1970: as text, each would cost the pipeline as much as unsealing a person does.

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def instants(values: Iterable[datetime]) -> str:
    """The instants as one literal, to be cast to `bigint[]`; `timestamptz('at')` makes an instant of the element `at`."""
    return array([(value - _EPOCH) // _MICROSECOND for value in values])


def timestamptz(element: str) -> str:
    """The SQL for the instant that an element of `instants` stands for."""
    return f"to_timestamp({element} / 1000000::float8)"


def instant(element: int) -> datetime:
    """The instant that an element of `instants` stands for."""
    return _EPOCH + timedelta(0, 0, element)


def now() -> datetime:
    """The database's clock, by which all windows and ends go."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        found: datetime = cursor.fetchone()[0]
        return found


def copy_in(cursor: CursorWrapper, table: str, columns: str, lines: Iterable[str]) -> None:
    """COPY lines of fields, parted by tabs and in no need of escapes; `table` and `columns` are ours, never input."""
    with cursor.db.wrap_database_errors:  # Django does not know COPY
        cursor.copy_expert(f"COPY {table} ({columns}) FROM STDIN", StringIO("\n".join(lines)))
