"""A payer's daily file, held against our books in both directions: nothing is left unexplained.

The first two lines of the CSV say whose file it is, of which day, and what must be in it; then a line for each thing that happened:

    payer,day,lines,rupiah
    bni,2020-09-15,2,1200000
    reference,status,rupiah,at
    272273-1,paid,600000,2020-09-15T09:30:00+07:00
    272289-1,reversed,600000,2020-09-15T16:02:11+07:00

A file is taken as a whole, once, when its day is over; whatever is not in order, nothing of it is taken. What it tells of payouts whose
outcome was unknown is taken as the payer's answer. Where it contradicts our books, or lacks what they say, a leftover stays until
somebody has settled it.
"""

import csv
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from io import StringIO
from typing import NamedTuple

from django.db import IntegrityError, connection, transaction
from django.utils.translation import gettext_lazy as _

from foundation.csvfile import BadFile
from foundation.pg import array
from incentives import results
from incentives.models import Leftover, Payout, State, StatementFile
from incentives.payers import PAYERS
from incentives.payout import Outcome
from incentives.results import Applied, Key
from incentives.terms import ITEMS
from registrations.holding import hold
from registrations.regions import WIB

Kind = Leftover.Kind
S = Payout.State

HEAD = ["payer", "day", "lines", "rupiah"]
COLUMNS = ["reference", "status", "rupiah", "at"]
#: No day has so many payouts of one payer; the file must fit into memory.
LARGEST_BYTES = 200 * 1024 * 1024

_OUTCOMES = {outcome.value: outcome for outcome in Outcome if outcome.is_final}


class Line(NamedTuple):
    number: int
    key: Key
    outcome: Outcome
    rupiah: int


class File(NamedTuple):
    payer: str
    day: date
    lines: list[Line]
    rupiah: int


def take(payer: str, content: bytes, *, file: str, at: datetime) -> StatementFile:
    """Take a payer's file; `file` is its name. Raises `BadFile`, and then nothing was taken."""
    read_file = read(payer, content, now=at)
    sha256 = hashlib.sha256(content).digest()
    try:
        with transaction.atomic():
            _one_at_a_time(payer)
            if StatementFile.objects.filter(sha256=sha256).exists():
                raise BadFile(_("This file has been taken before."))
            try:
                with transaction.atomic():
                    taken = StatementFile.objects.create(
                        payer=payer,
                        day=read_file.day,
                        sha256=sha256,
                        file=file[-255:],
                        lines=len(read_file.lines),
                        rupiah=read_file.rupiah,
                        taken_at=at,
                    )
            except IntegrityError:
                raise BadFile(_("There is a file of {payer} of {day} already."), payer=payer, day=read_file.day) from None
            _match(taken, read_file.lines, at)
    except IntegrityError:
        raise BadFile(_("This file is being taken at this moment.")) from None
    return taken


def _one_at_a_time(payer: str) -> None:
    """A file is held against the lines and the leftovers of all that were taken before: another of this payer's waits."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('incentives.reconciliation ' || %s))", [payer])


def read(payer: str, content: bytes, *, now: datetime) -> File:
    """The file, if all of it is in order. Raises `BadFile`."""
    if payer not in PAYERS:
        raise BadFile(_("There is no payer {payer}."), payer=payer)
    if len(content) > LARGEST_BYTES:
        raise BadFile(_("The file is too large."))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadFile(_("The file is not UTF-8.")) from None
    if "\0" in text:
        raise BadFile(_("The file holds a NUL byte: this is no text, or a damaged one."))
    try:
        rows = list(enumerate(csv.reader(StringIO(text, newline=""), strict=True), start=1))
    except csv.Error:
        raise BadFile(_("The file is not CSV.")) from None
    if len(rows) < 3 or rows[0][1] != HEAD or rows[2][1] != COLUMNS:
        raise BadFile(
            _("The file does not begin with its two heads, {heads}."), heads=f"{','.join(HEAD)} / {','.join(COLUMNS)}"
        )
    day, lines, rupiah = _head(payer, rows[1][1])
    if day >= now.astimezone(WIB).date():
        raise BadFile(_("The file is of {day}, which is not over yet."), day=day)
    found = [_line(number, row, day) for number, row in rows[3:]]
    # One that was cut in half is told here, whether in a line or between two.
    if len(found) != lines or not content.endswith(b"\n"):
        raise BadFile(
            _("The file is not whole: it says that it has {said} lines, and has {found}."), said=lines, found=len(found)
        )
    if sum(line.rupiah for line in found) != rupiah:
        raise BadFile(_("The rupiah of the lines are not {rupiah}, as the file says."), rupiah=rupiah)
    return File(payer, day, found, rupiah)


def _head(payer: str, row: list[str]) -> tuple[date, int, int]:
    wrong = BadFile(_("Line 2 does not say payer, day, lines and rupiah."))
    if len(row) != 4:
        raise wrong
    try:
        day, lines, rupiah = date.fromisoformat(row[1]), _whole(row[2]), _whole(row[3])
    except ValueError:
        raise wrong from None
    if row[0] != payer:
        raise BadFile(_("The file is not of {payer}."), payer=payer)
    return day, lines, rupiah


def _line(number: int, row: list[str], day: date) -> Line:
    if len(row) != 4:
        raise BadFile(_("Line {line} does not have four columns: the file may be cut off."), line=number)
    key = Key.read(row[0])
    if key is None:
        raise BadFile(_("Line {line}: this is no reference of ours."), line=number)
    if row[1] not in _OUTCOMES:
        raise BadFile(_("Line {line}: there is no such status."), line=number)
    try:
        rupiah, at = _whole(row[2]), datetime.fromisoformat(row[3])
        if at.tzinfo is None:
            raise ValueError
    except ValueError:
        raise BadFile(_("Line {line}: rupiah are a whole number, and the time has a zone."), line=number) from None
    if at.astimezone(WIB).date() != day:
        raise BadFile(_("Line {line} is not of {day}."), line=number, day=day)
    return Line(number, key, _OUTCOMES[row[1]], rupiah)


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 15):
        raise ValueError
    return int(text)


class _Ours(NamedTuple):
    state: int
    amount: int


def _match(taken: StatementFile, lines: Sequence[Line], at: datetime) -> None:
    hold(line.key.obligation_id // ITEMS for line in lines)
    ours = _ours(taken.payer, {line.key for line in lines})
    if unknown := [line.number for line in lines if line.key not in ours]:
        raise BadFile(
            _("Line {line} has a reference that {payer} was never given ({more} such lines)."),
            line=unknown[0],
            payer=taken.payer,
            more=len(unknown),
        )
    twice = _enter(taken, lines)
    leftovers = [_leftover(taken, line, Kind.TWICE) for line in twice]
    told_twice = {line.number for line in twice}
    answers: dict[Key, Outcome] = {}
    for line in lines:
        if line.number in told_twice:
            continue
        state, amount = ours[line.key]
        kind = _contradiction(state, line, amount)
        if kind:
            leftovers.append(_leftover(taken, line, kind))
        elif results.judge(state, line.outcome) is Applied.APPLIED:
            answers[line.key] = line.outcome
            ours[line.key] = _Ours(results.state_after(line.outcome), amount)
    results.settle(answers, at=at)
    Leftover.objects.bulk_create([*leftovers, *_missing(taken), *_given_back_here(taken)])
    _close_explained(taken, at)


def _ours(payer: str, keys: Iterable[Key]) -> dict[Key, _Ours]:
    wanted = list(keys)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT payout.obligation_id, payout.attempt, payout.state, payout.amount
            FROM unnest(%s::bigint[], %s::smallint[]) AS asked (id, attempt)
            JOIN incentives_payout payout ON payout.obligation_id = asked.id AND payout.attempt = asked.attempt
            JOIN incentives_batch batch ON batch.id = payout.batch_id
            WHERE batch.payer = %s
            """,
            [array(key.obligation_id for key in wanted), array(key.attempt for key in wanted), payer],
        )
        return {Key(id, attempt): _Ours(state, amount) for id, attempt, state, amount in cursor.fetchall()}


def _enter(taken: StatementFile, lines: Sequence[Line]) -> list[Line]:
    """Write the lines down; return those that say what was said before, here or in another file."""
    with connection.cursor() as cursor:
        first: dict[tuple[Key, int], Line] = {}
        for line in lines:
            first.setdefault((line.key, results.state_after(line.outcome)), line)
        cursor.execute(
            """
            INSERT INTO incentives_statementline (obligation_id, attempt, said, rupiah, file_id)
            SELECT *, %s FROM unnest(%s::bigint[], %s::smallint[], %s::smallint[], %s::int[]) ORDER BY 1, 2, 3
            ON CONFLICT DO NOTHING RETURNING obligation_id, attempt, said
            """,
            [
                taken.pk,
                array(key.obligation_id for key, _ in first),
                array(key.attempt for key, _ in first),
                array(said for _, said in first),
                array(line.rupiah for line in first.values()),
            ],
        )
        new = {first[Key(id, attempt), said].number for id, attempt, said in cursor.fetchall()}
    return [line for line in lines if line.number not in new]


def _contradiction(state: int, line: Line, amount: int) -> Leftover.Kind | None:
    """How this line and our books differ, if nothing explains it."""
    if line.rupiah != amount:
        return Kind.AMOUNT_DIFFERS
    if state >= S.PROPOSED:
        return Kind.NEVER_SENT
    if results.judge(state, line.outcome) is not Applied.CONTRADICTS:
        return None
    if state == S.FAILED and line.outcome.is_reversed:
        # Taken back there: neither of us holds it for paid.
        return None
    return Kind.PAID_HERE if state in (S.PAID, S.REVERSED) else Kind.FAILED_HERE


def _leftover(taken: StatementFile, line: Line, kind: Leftover.Kind) -> Leftover:
    return Leftover(
        file=taken, kind=kind, obligation_id=line.key.obligation_id, attempt=line.key.attempt, rupiah=line.rupiah
    )


def _day_of(taken: StatementFile) -> tuple[datetime, datetime]:
    begins = datetime.combine(taken.day, time(), WIB)
    return begins, begins + timedelta(days=1)


def _missing(taken: StatementFile) -> list[Leftover]:
    """What we hold for paid by this payer until the end of that day, sent on it, and what no file of theirs has told.

    That of days of which no file has come is missing, too, until one comes. What was settled before the end of the day of an earlier
    file was held against that one: it is told, or left over.
    """
    _begins, ends = _day_of(taken)
    earlier = StatementFile.objects.filter(payer=taken.payer, day__lt=taken.day).last()
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT payout.obligation_id, payout.attempt, payout.amount
            FROM incentives_payout payout JOIN incentives_batch batch ON batch.id = payout.batch_id
            WHERE batch.payer = %(payer)s AND batch.approved_at < %(ends)s AND payout.state = {S.PAID}
              AND payout.settled_at >= coalesce(%(since)s, '-infinity'::timestamptz) AND payout.settled_at < %(ends)s
              AND NOT EXISTS (
                  SELECT 1 FROM incentives_statementline line
                  WHERE (line.obligation_id, line.attempt, line.said) = (payout.obligation_id, payout.attempt, {State.PAID})
              )
              AND NOT EXISTS (
                  SELECT 1 FROM incentives_leftover before
                  WHERE (before.obligation_id, before.attempt, before.kind) = (payout.obligation_id, payout.attempt, %(missing)s)
              )
            ORDER BY 1
            """,
            {
                "payer": taken.payer,
                "since": _day_of(earlier)[1] if earlier else None,
                "ends": ends,
                "missing": Kind.MISSING,
            },
        )
        return [
            Leftover(file=taken, kind=Kind.MISSING, obligation_id=id, attempt=attempt, rupiah=amount)
            for id, attempt, amount in cursor.fetchall()
        ]


def _given_back_here(taken: StatementFile) -> list[Leftover]:
    """What counts as given back here, and what their files tell as paid and not as given back: it may be with the person.

    A payer that says on one day that something was given back writes it into the file of that day or of the next: until that one has
    come, nothing is missing. What was accepted here as given back, because no file had told it as paid, is contradicted at once by one
    that does.
    """
    begins, _ends = _day_of(taken)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT payout.obligation_id, payout.attempt, payout.amount
            FROM incentives_payout payout JOIN incentives_batch batch ON batch.id = payout.batch_id
            JOIN incentives_statementline told
                ON (told.obligation_id, told.attempt, told.said) = (payout.obligation_id, payout.attempt, {State.PAID})
            WHERE batch.payer = %(payer)s AND payout.state = {S.REVERSED}
              AND NOT EXISTS (
                  SELECT 1 FROM incentives_statementline line
                  WHERE (line.obligation_id, line.attempt) = (payout.obligation_id, payout.attempt) AND line.said <> {State.PAID}
              )
              AND (payout.settled_at < %(begins)s OR EXISTS (
                  SELECT 1 FROM incentives_leftover missing
                  WHERE (missing.obligation_id, missing.attempt) = (payout.obligation_id, payout.attempt)
                    AND missing.kind = %(missing)s AND missing.settled_at = payout.settled_at
              ))
              AND NOT EXISTS (
                  SELECT 1 FROM incentives_leftover before
                  WHERE (before.obligation_id, before.attempt, before.kind)
                      = (payout.obligation_id, payout.attempt, %(given_back)s)
                    AND (before.settled_at IS NULL OR before.settled_at >= payout.settled_at)
              )
            ORDER BY 1, 2
            """,
            {"payer": taken.payer, "begins": begins, "missing": Kind.MISSING, "given_back": Kind.GIVEN_BACK},
        )
        return [
            Leftover(file=taken, kind=Kind.GIVEN_BACK, obligation_id=id, attempt=attempt, rupiah=amount)
            for id, attempt, amount in cursor.fetchall()
        ]


def _close_explained(taken: StatementFile, at: datetime) -> None:
    """What was missing in an earlier file, as paid or as given back, and stands in this one; and what failed here and was taken back."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE incentives_leftover leftover SET settled_at = %s, settled_how = %s
            FROM incentives_statementline line
            WHERE (leftover.kind, line.said) IN ((%s, %s), (%s, %s), (%s, %s))
              AND leftover.settled_at IS NULL AND line.file_id = %s
              AND (line.obligation_id, line.attempt) = (leftover.obligation_id, leftover.attempt)
            """,
            [
                at,
                f"told in the file of {taken.day}",
                *(Kind.MISSING, State.PAID),
                *(Kind.GIVEN_BACK, State.REVERSED),
                *(Kind.FAILED_HERE, State.REVERSED),
                taken.pk,
            ],
        )


def settle(leftover: Leftover, *, how: str, at: datetime) -> bool:
    """Somebody has cleared up what was left over, and says how; False when it was settled before, or they say nothing."""
    words = " ".join(how.split())
    return bool(words) and bool(
        Leftover.objects.filter(pk=leftover.pk, settled_at=None).update(settled_at=at, settled_how=words)
    )


def accept(leftover: Leftover, *, how: str, at: datetime) -> bool:
    """The payer is right, and has shown it: what failed or was given back here counts as paid, what was paid here as given back.

    False when it cannot be so any more, or was settled before.
    """
    with transaction.atomic():
        key = Key(leftover.obligation_id, leftover.attempt)
        match Kind(leftover.kind):
            case Kind.FAILED_HERE | Kind.GIVEN_BACK:
                done = results.accept_payment(key, at=at)
            case Kind.PAID_HERE | Kind.MISSING:
                results.settle({key: Outcome.REVERSED}, at=at)
                done = True
            case _:
                done = False
        if not done or not settle(leftover, how=how, at=at):
            transaction.set_rollback(True)
            return False
    return True


def unexplained() -> Mapping[str, int]:
    """How many leftovers wait for somebody, by kind."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT kind, count(*) FROM incentives_leftover WHERE settled_at IS NULL GROUP BY kind ORDER BY kind")
        return dict(cursor.fetchall())
