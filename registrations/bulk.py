"""Bulk intake: registrants whom a ministry or a labour office has collected, from a CSV file. See docs/intake.md."""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from foundation import csvfile
from foundation.csvfile import Block, Form, Survey, rows_of
from registrations import rows
from registrations.intake import SignUp, register


def survey(path: Path, *, progress: Callable[[int], object] = lambda size: None) -> Survey:
    """The file, if its form is in order. Raises `csvfile.BadFile`."""
    required = [column.name for column in rows.COLUMNS if not column.optional]
    optional = [column.name for column in rows.COLUMNS if column.optional]
    return csvfile.survey(path, required, optional, progress=progress)


class Wrong(NamedTuple):
    """What is wrong with a row. The reason does not repeat what stands there."""

    line: int
    #: The column, or "" for the whole row.
    field: str
    reason: str


class Outcome(NamedTuple):
    """What came of a block."""

    #: The rows that are right.
    right: int
    #: The people who are registered now and were not before.
    new: int
    #: The rows that are wrong, and what is; in order of lines.
    bad: int
    wrong: list[Wrong]


def take_in(form: Form, block: Block, *, at: datetime, dry: bool = False) -> Outcome:
    """Register the people of one block, at this instant; or only look at the rows. Raises `BadFile` if the file has changed.

    Who is registered already, or stands in the block twice, is left as they are: harmless when repeated.
    """
    found = [(line, row) for line, row in rows_of(form, block) if any(row)]
    sign_ups: dict[str, SignUp] = {}
    right = bad = 0
    wrong: list[Wrong] = []
    outcomes = rows.read(form.columns, [row for _line, row in found], at=at)
    for (line, _row), outcome in zip(found, outcomes, strict=True):
        match outcome:
            case SignUp():
                right += 1
                sign_ups.setdefault(outcome.person.nik, outcome)
            case faults:
                bad += 1
                wrong.extend(Wrong(line, field, reason) for field, reason in faults)
    new: Mapping[UUID, int] = {}
    if sign_ups and not dry:
        # In the same order everywhere: blocks with the same people wait for each other, but never each for the other.
        new = register(sorted(sign_ups.values(), key=lambda sign_up: sign_up.reference.int))
    return Outcome(right, len(new), bad, wrong)
