"""Tables to take away: CSV that a spreadsheet opens and does not obey."""

import csv
from collections.abc import Iterable, Sequence
from io import StringIO

from django.http import HttpResponse

Cell = str | int | None

#: With these a spreadsheet takes a text for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def harmless(cell: Cell) -> Cell:
    """The text as it is shown by a spreadsheet, and never run: partners and people have named what it says."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def as_csv(name: str, header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> HttpResponse:
    """A CSV file to be downloaded. Amounts are plain digits, so that they can be added up."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows([harmless(cell) for cell in row] for row in rows)
    # The mark tells spreadsheets that it is UTF-8.
    content = "\ufeff" + text.getvalue()
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(content, content_type="text/csv; charset=utf-8", headers=headers)
