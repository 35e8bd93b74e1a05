"""Lists of people that others provide (ministries, the social-aid register): a file of NIKs comes in, only digests stay."""

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from django.db import connection, transaction
from django.utils.translation import gettext_lazy as _

from foundation import csvfile
from foundation.pg import copy_in
from registrations.person import nik_digest
from waves.models import ListKind, PersonList

#: So many lines that are wrong are named.
SHOWN = 20


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of a file."""

    list: PersonList
    people: int
    #: Lines with somebody who stood in the file before.
    doubled: int
    #: Lines that hold no NIK; they are left out.
    wrong: int
    #: The first of them.
    wrong_lines: Sequence[int]


def import_list(
    kind: ListKind, path: Path, *, provider: str, dated: date, progress: Callable[[int], object] = lambda size: None
) -> Imported:
    """Take in a list, in place of the one of its kind that was there; all of it or nothing. Raises `csvfile.BadFile`.

    The file is CSV with a column `nik`; what else there is, it must not hold. `progress` is told how many bytes more are done.
    """
    survey = csvfile.survey(path, ["nik"])
    wrong_lines: list[int] = []
    rows = wrong = 0
    with transaction.atomic(), connection.cursor() as cursor:
        # One at a time: of two newest lists, one must replace the other. And not while somebody decides by the one before.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('waves.lists ' || %s))", [kind.value])
        before = PersonList.objects.filter(kind=kind, replaced_by=None).first()
        if before:
            PersonList.objects.filter(pk=before.pk).update(replaced_by=before)  # for a moment: one newest list of a kind
        new = PersonList.objects.create(
            kind=kind, provider=provider, dated=dated, file=path.name, sha256=_sha256(path), people=0
        )
        if before:
            PersonList.objects.filter(pk=before.pk).update(replaced_by=new)
        cursor.execute("CREATE TEMP TABLE arriving (digest uuid) ON COMMIT DROP")
        for block in survey.blocks:
            digests = []
            for line, row in csvfile.rows_of(survey.form, block):
                nik = row[0].strip() if row else ""
                if not nik:
                    continue
                if len(nik) == 16 and nik.isascii() and nik.isdigit():
                    digests.append(nik_digest(nik))
                else:
                    wrong += 1
                    wrong_lines += [line] if wrong <= SHOWN else []
            copy_in(cursor, "arriving", "digest", digests)
            rows += len(digests)
            progress(block.size)
        cursor.execute(
            """
            INSERT INTO waves_listentry (digest, list_id)
            SELECT DISTINCT digest, %s FROM arriving ORDER BY digest
            """,
            [new.pk],
        )
        new.people = cursor.rowcount
        cursor.execute("DROP TABLE arriving")
        if not new.people:
            raise csvfile.BadFile(_("There is no NIK in the file: nothing was taken in."))
        new.save(update_fields=["people"])
        if before:
            # What it decided is kept with the people whom it concerned, and what it was in its row; its digests are needed no more.
            cursor.execute("DELETE FROM waves_listentry WHERE list_id = %s", [before.pk])
    return Imported(new, new.people, rows - new.people, wrong, wrong_lines)


def newest(kinds: Collection[ListKind]) -> list[PersonList]:
    """The list of each of these kinds, if there is one; none of them is replaced before the caller's transaction ends."""
    with connection.cursor() as cursor:
        # A lock of the rows would find none where a list is just being replaced: the old one is out, the new one not yet seen.
        for kind in sorted(kinds):
            cursor.execute("SELECT pg_advisory_xact_lock_shared(hashtext('waves.lists ' || %s))", [kind.value])
    return list(PersonList.objects.filter(kind__in=kinds, replaced_by=None))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
