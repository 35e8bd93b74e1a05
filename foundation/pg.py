"""PostgreSQL in sets: array parameters and COPY for thousands of values in one statement."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from io import StringIO
from uuid import UUID

from django.db.backends.utils import CursorWrapper

#: What one field of a COPY row or one element of an array may be.
Value = int | str | bytes | memoryview | datetime | UUID | None


def array(values: Iterable[Value]) -> str:
    """The values as one PostgreSQL array literal, to be cast in the statement: `%s::bigint[]`.

    One literal is parsed many times faster than the `ARRAY[...]` expression of thousands of constants that the driver
    would make of a list.
    """
    return "{" + ",".join(map(_element, values)) + "}"


def _element(value: Value) -> str:
    match value:
        case None:
            return "NULL"
        case int():
            return str(value)
        case datetime():
            return value.isoformat()
        case bytes() | memoryview():
            return '"\\\\x' + value.hex() + '"'
        case UUID():
            return str(value)
        case _:
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            return f'"{escaped}"'


def copy_in(cursor: CursorWrapper, table: str, columns: Sequence[str], rows: Iterable[Sequence[Value]]) -> None:
    """COPY the rows into `table`; `table` and `columns` are ours, never input."""
    lines = ["\t".join(map(_field, row)) for row in rows]
    lines.append("")
    cursor.copy_expert(f"COPY {table} ({', '.join(columns)}) FROM STDIN", StringIO("\n".join(lines)))


def _field(value: Value) -> str:
    match value:
        case None:
            return "\\N"
        case str():
            return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
        case bytes() | memoryview():
            return "\\\\x" + value.hex()
        case datetime():
            return value.isoformat()
        case _:
            return str(value)
