"""The one mover: every climb and every drop-off, of one person or of thousands, goes through here."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db import connection, transaction

from foundation.pg import array, instants, timestamptz
from registrations.person import Person
from registrations.stages import DropOff, Stage

#: Reasons from which nobody climbs.
_FINAL = f"ARRAY[{', '.join(str(reason.value) for reason in DropOff if reason.is_final)}]"


class Standing(NamedTuple):
    """A registrant who stands where it was asked for, with what a step may need of them."""

    id: int
    #: 16 bytes.
    reference: memoryview
    stage: int
    revision: int
    sealed: memoryview

    def open(self) -> Person:
        return Person.open(self.sealed, self.reference)


def standing(ids: Sequence[int], stage: Stage, *, or_above: bool = False, lock: bool = False) -> dict[int, Standing]:
    """Those of the registrants who stand on `stage`, by id; with `lock` they stay there until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT registrant.id, uuid_send(registrant.reference), registrant.stage, registrant.revision, data.sealed
            FROM registrations_registrant registrant
            -- Looked up one by one whatever the planner thinks: of a table that it takes for empty, it reads all for each of them.
            CROSS JOIN LATERAL (
                SELECT sealed FROM registrations_personaldata WHERE registrant_id = registrant.id OFFSET 0
            ) AS data
            WHERE registrant.id = ANY (%s::bigint[]) AND registrant.stage {">=" if or_above else "="} %s
            {"ORDER BY registrant.id FOR NO KEY UPDATE OF registrant" if lock else ""}
            """,
            [array(ids), stage],
        )
        return {row[0]: Standing._make(row) for row in cursor.fetchall()}


def climb(to: Stage, at: Mapping[int, datetime], *, seen: Mapping[int, Standing] | None = None) -> set[int]:
    """Move registrants one rung up, to `to`, in one statement; return who moved.

    `at` tells when each one climbs, by id. Only those on the rung below move, so nobody skips and a second run moves nobody;
    and, of those `seen` before, only who has not been corrected since: what was found out was about the old data.
    """
    if not at:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            UPDATE registrations_registrant registrant
            SET stage = %s, drop_off = 0, drop_off_at = NULL,
                {to.timestamp} = greatest({timestamptz("move.at")}, registrant.{to.below.timestamp})
            FROM unnest(%s::bigint[], %s::bigint[], %s::smallint[]) AS move (id, at, revision)
            WHERE registrant.id = move.id AND registrant.stage = %s AND registrant.drop_off <> ALL ({_FINAL})
              AND (move.revision IS NULL OR registrant.revision = move.revision)
            RETURNING registrant.id
            """,
            [to, array(at), instants(at.values()), _revisions(at, seen), to.below],
        )
        return {id for (id,) in cursor.fetchall()}


class Selected(NamedTuple):
    """What is open of somebody who has just been selected."""

    province: int
    sex: int
    #: 16 bytes.
    reference: memoryview


def select(wave: int, ids: Sequence[int], at: datetime) -> dict[int, Selected]:
    """Move registrants up to *selected*, as those whom this wave selected; return who moved, by id."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            UPDATE registrations_registrant
            SET stage = {Stage.SELECTED}, drop_off = 0, drop_off_at = NULL, selected_wave_id = %s,
                selected_at = greatest(%s, phone_verified_at)
            WHERE id = ANY (%s::bigint[]) AND stage = {Stage.PHONE_VERIFIED}
            RETURNING id, province, sex, uuid_send(reference)
            """,
            [wave, at, array(ids)],
        )
        return {id: Selected._make(rest) for id, *rest in cursor.fetchall()}


def drop_off(
    reasons: Mapping[int, DropOff], at: Mapping[int, datetime], *, seen: Mapping[int, Standing] | None = None
) -> set[int]:
    """Write down why each registrant is not on the next rung; return for whom it was written.

    Only those who stand on the reason's own rung, do not have that reason already and, of those `seen` before, have not been
    corrected since.
    """
    if not reasons:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            UPDATE registrations_registrant registrant
            SET drop_off = move.reason, drop_off_at = {timestamptz("move.at")}
            FROM unnest(%s::bigint[], %s::smallint[], %s::bigint[], %s::smallint[]) AS move (id, reason, at, revision)
            WHERE registrant.id = move.id AND registrant.stage = move.reason / 10 AND registrant.drop_off <> move.reason
              AND registrant.drop_off <> ALL ({_FINAL}) AND (move.revision IS NULL OR registrant.revision = move.revision)
            RETURNING registrant.id
            """,
            [array(reasons), array(reasons.values()), instants(at[id] for id in reasons), _revisions(reasons, seen)],
        )
        return {id for (id,) in cursor.fetchall()}


def _revisions(ids: Iterable[int], seen: Mapping[int, Standing] | None) -> str | None:
    return None if seen is None else array(seen[id].revision for id in ids)


def clear_drop_off(ids: Sequence[int], stage: Stage, at: datetime) -> int:
    """The reason is gone since `at`: these registrants, if on `stage`, are on their way again; return how many had one."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            UPDATE registrations_registrant SET drop_off = 0, drop_off_at = %s
            WHERE id = ANY (%s::bigint[]) AND stage = %s AND drop_off <> 0 AND drop_off <> ALL ({_FINAL})
            """,
            [at, array(ids), stage],
        )
        return int(cursor.rowcount)


@contextmanager
def correcting(registrant_id: int, stage: Stage, *, at: datetime) -> Iterator[Standing | None]:
    """One transaction in which a registrant on `stage` may correct personal data; None when not on that rung.

    The revision grows, so that whatever was asked about the old data no longer counts, and the drop-off reason goes.
    """
    with transaction.atomic():
        found = standing([registrant_id], stage, lock=True).get(registrant_id)
        yield found
        if found:
            clear_drop_off([registrant_id], stage, at)
            with connection.cursor() as cursor:
                cursor.execute("UPDATE registrations_registrant SET revision = revision + 1 WHERE id = %s", [registrant_id])


def rewrite(found: Standing, person: Person) -> None:
    """Replace a registrant's personal data, sealed; inside `correcting`."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE registrations_personaldata SET sealed = %s WHERE registrant_id = %s",
            [person.seal(UUID(bytes=bytes(found.reference))), found.id],
        )
