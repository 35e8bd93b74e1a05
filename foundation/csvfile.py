"""CSV files that others hand in: their form is looked at as a whole, and they are read block by block.

`survey` reads the whole file once, so that nothing is taken of a broken one, and cuts it into blocks. `rows_of` reads one block again, by
itself, so that many processes work on one file and none holds more than a block. A row is a line: no value has a line break in
it, and so a quote that is not closed cannot swallow its neighbours.
"""

import csv
import os
import re
import stat
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import IO, Any, NamedTuple

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

#: A block is a little longer than so many bytes, which are some five thousand people: those of one transaction.
BLOCK = 1024 * 1024
#: And it has no more lines than these: what is made of a line takes memory however short it is.
LINES = 10_000
#: No line is longer, in bytes: it would be no line of such a file.
LONGEST_LINE = 64 * 1024


class BadFile(Exception):
    """This file cannot be taken as it is; `message` says why, and names the line."""

    def __init__(self, message: Any, **values: object) -> None:
        self.message = format_lazy(message, **values) if values else message
        super().__init__(self.message)

    def __str__(self) -> str:
        return str(self.message)


class Block(NamedTuple):
    """Some thousand lines of the file."""

    #: The number of the first line.
    line: int
    #: Where it begins, and how long the block is, in bytes.
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Form:
    """What one has to know of a file to read a block of it."""

    path: Path
    #: By which the file is known again.
    identity: tuple[int, ...]
    delimiter: str
    columns: tuple[str, ...]


class Survey(NamedTuple):
    """A file whose form is in order."""

    form: Form
    blocks: list[Block]


def survey(
    path: Path,
    required: Sequence[str],
    optional: Sequence[str] = (),
    *,
    progress: Callable[[int], object] = lambda size: None,
) -> Survey:
    """Read the whole file and see that its form is in order, with all `required` columns and besides only `optional` ones.

    Raises `BadFile`, which says what is not in order. `progress` is told how many bytes more have been read.
    """
    with _opened(path) as file:
        header = _text(_first_line(file), line=1).removeprefix("\ufeff")
        delimiter = max(",;\t", key=header.count)
        [(_line, names)] = _rows(header or "\n", delimiter, line=1)
        form = Form(path, _identity(file), delimiter, _columns(names, required, optional))
        blocks: list[Block] = []
        line, anybody = 2, False
        while raw := _next_lines(file):
            text = _text(raw, line=line)
            if '"' in text:
                deque(_rows(text, delimiter, line=line), maxlen=0)
            anybody = anybody or text.strip(f'\r\n"{delimiter}') != ""
            blocks.append(Block(line, file.tell() - len(raw), len(raw)))
            line += raw.count(b"\n")
            progress(len(raw))
        if not anybody:
            raise BadFile(_("The file has a header and no rows."))
        return Survey(form, blocks)


def _opened(path: Path) -> IO[bytes]:
    try:
        # Opening a pipe would wait for somebody to write into it.
        if not stat.S_ISREG(path.stat().st_mode):
            raise BadFile(_("{path} is not a file: a folder, a device or a pipe cannot be taken."), path=path)
        return path.open("rb")
    except FileNotFoundError:
        raise BadFile(_("There is no file {path}."), path=path) from None
    except (OSError, ValueError) as error:
        raise BadFile(_("{path} cannot be read: {reason}"), path=path, reason=_reason(error)) from error


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _identity(file: IO[bytes]) -> tuple[int, ...]:
    found = os.fstat(file.fileno())
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def _first_line(file: IO[bytes]) -> bytes:
    line = file.readline(LONGEST_LINE)
    if not line:
        raise BadFile(_("The file is empty."))
    if line.startswith((b"\xff\xfe", b"\xfe\xff")) or line[:2].count(0) == 1:
        raise BadFile(_("The file is UTF-16. Save it as CSV UTF-8."))
    if line.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise BadFile(_("The file is a spreadsheet. Save it as CSV UTF-8."))
    return line


def _next_lines(file: IO[bytes]) -> bytes:
    """The lines of the next block; none at the end of the file."""
    raw = file.read(BLOCK) + file.readline(LONGEST_LINE)
    if raw.count(b"\n") >= LINES:
        beyond = raw.split(b"\n", LINES)[-1]
        file.seek(-len(beyond), os.SEEK_CUR)
        raw = raw.removesuffix(beyond)
    return raw


def _text(raw: bytes, *, line: int) -> str:
    """These lines, of which the first is number `line`, as text. Raises `BadFile` where they are none."""

    def at(position: int) -> int:
        return line + raw.count(b"\n", 0, position)

    if (nul := raw.find(b"\0")) >= 0:
        raise BadFile(_("Line {line} holds a NUL byte: this is no text, or a damaged one."), line=at(nul))
    if b"\r" in raw and (alone := _CR_ALONE.search(raw)):
        raise BadFile(_("Line {line} ends with CR alone. Save the file as CSV UTF-8."), line=at(alone.start()))
    lengths = [len(part) for part in raw.split(b"\n")]
    if max(lengths) >= LONGEST_LINE:
        at_fault = line + next(number for number, length in enumerate(lengths) if length >= LONGEST_LINE)
        raise BadFile(_("Line {line} is longer than {most} bytes."), line=at_fault, most=LONGEST_LINE)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise BadFile(_("Line {line} is not UTF-8. Save the file as CSV UTF-8."), line=at(error.start)) from None


_CR_ALONE = re.compile(rb"\r(?!\n|\Z)")


def _rows(text: str, delimiter: str, *, line: int) -> Iterator[tuple[int, list[str]]]:
    """The rows with their line numbers, of which the first is `line`; blank ones too. Raises `BadFile`."""
    unclosed = _("Line {line}: a quote is opened there and not closed on the same line.")
    reader = csv.reader(StringIO(text, newline="\n"), delimiter=delimiter, strict=True)
    before = line - 1
    try:
        for row in reader:
            if before + reader.line_num != line:
                raise BadFile(unclosed, line=line)
            yield line, row
            line += 1
    except csv.Error as error:
        if before + reader.line_num != line or "end of data" in str(error):
            raise BadFile(unclosed, line=line) from None
        raise BadFile(_("Line {line}: after a closing quote comes the next column, and nothing else."), line=line) from None


def _columns(header: list[str], required: Sequence[str], optional: Sequence[str]) -> tuple[str, ...]:
    columns, known = tuple(name.strip().lower() for name in header), [*required, *optional]
    # Somebody's data may stand there instead: it is not repeated.
    if not set(known) & set(columns):
        raise BadFile(_("The first line does not name the columns. They are: {names}."), names=", ".join(known))
    if unknown := [name for name in columns if name not in known]:
        raise BadFile(
            _("There is no column {names}. The columns are: {known}."), names=_listed(unknown), known=", ".join(known)
        )
    if twice := {name for name in columns if columns.count(name) > 1}:
        raise BadFile(_("More than one column is called {names}."), names=_listed(sorted(twice)))
    if missing := [name for name in required if name not in columns]:
        raise BadFile(_("The file lacks the column {names}."), names=_listed(missing))
    return columns


def _listed(names: list[str]) -> str:
    """Unknown names come from the file: shortened, and without what a terminal would obey."""
    shown = ("".join(char if char.isprintable() else "?" for char in name[:40]) for name in names[:20])
    return ", ".join(f"“{name}”" for name in shown)


def rows_of(form: Form, block: Block) -> Iterator[tuple[int, list[str]]]:
    """The rows of one block with their line numbers; blank ones too. Raises `BadFile` if the file has changed."""
    with _opened(form.path) as file:
        file.seek(block.offset)
        raw = file.read(block.size)
        if _identity(file) != form.identity:
            raise BadFile(_("The file has changed while it was read."))
    return _rows(raw.decode(), form.delimiter, line=block.line)
