"""Intake: how people come to be registrants, one from the sign-up form or thousands at once. The same statement serves both."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, TypeAlias
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.backends.utils import CursorWrapper

from foundation.pg import array, copy_in
from foundation.work import enqueue
from registrations.ladder import clear_drop_off
from registrations.models import Education, Employment, Sex
from registrations.person import Person
from registrations.regions import Province
from registrations.stages import Stage

#: The text of the consent that people agree to now; see the last step of the sign-up form.
CONSENT = 1


class SignUp(NamedTuple):
    """A finished sign-up: the person, and the registrant's statement."""

    #: The same sign-up sent again has the same reference.
    reference: UUID
    person: Person
    sex: Sex
    province: Province
    education: Education
    employment: Employment
    citizen: bool
    studying: bool
    registered_at: datetime
    consent: int = CONSENT


#: From so many on, people are copied in; below, one statement is the quicker way.
COPIED_FROM = 100


def register(sign_ups: Sequence[SignUp], *, instants: bool = False) -> dict[UUID, int]:
    """Make registrants of these people and let the pipeline write to them; return the ids of the new ones by reference.

    Whoever is registered under the same reference already is left as they are. Everyone belongs to the first wave that
    closes after they registered; where no such wave is planned yet, the next one is. With `instants`, what follows counts
    as done when they registered (a simulation's time); without, when it is done.
    """
    if not sign_ups:
        return {}
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        rows = _rows(cursor, sign_ups)
        ids = (_copied(cursor, rows) if len(rows) >= COPIED_FROM else None) or _inserted(cursor, rows)
        new = [(id, sign_up) for id, sign_up in zip(ids, sign_ups, strict=True) if id]
        enqueue(
            "email",
            [id for id, _ in new],
            instants=[sign_up.registered_at for _, sign_up in new] if instants else None,
        )
    return {sign_up.reference: id for id, sign_up in new}


class _Row(NamedTuple):
    """A registrant to be, as the tables want it."""

    reference: UUID
    #: COPY's fields, all but the id.
    line: str
    #: Hexadecimal.
    sealed: str


_FIELDS = (
    "reference, registered_at, wave_id, province, birth_year, sex, education, employment, consent, citizen, studying,"
    " stage, drop_off, revision"
)


def _rows(cursor: CursorWrapper, sign_ups: Sequence[SignUp]) -> list[_Row]:
    instants = {sign_up.registered_at for sign_up in sign_ups}
    waves = _waves(cursor, max(instants))
    # In a file all have one instant, in a simulation each their own.
    when = {instant: f"{instant.isoformat()}\t{_wave_of(instant, waves)}" for instant in instants}
    return [
        _Row(
            reference,
            # The old way to format is the quickest for a code that is an enum's member.
            "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t1\t0\t0"  # noqa: UP031
            % (
                reference.hex,
                when[registered_at],
                province,
                person.birth_date.year,
                sex,
                education,
                employment,
                consent,
                citizen,
                studying,
            ),
            person.seal(reference).hex(),
        )
        for reference, person, sex, province, education, employment, citizen, studying, registered_at, consent in sign_ups
    ]


def _copied(cursor: CursorWrapper, rows: Sequence[_Row]) -> list[int] | None:
    """The rows, copied in with ids taken beforehand; None when one of them is there already, and nothing is copied."""
    cursor.execute("SELECT nextval('registrations_registrant_id_seq') FROM generate_series(1, %s)", [len(rows)])
    ids = [id for (id,) in cursor.fetchall()]
    try:
        with transaction.atomic():
            lines = (f"{id}\t{row.line}" for row, id in zip(rows, ids, strict=True))
            copy_in(cursor, "registrations_registrant", f"id, {_FIELDS}", lines)
    except IntegrityError:
        return None
    lines = (f"{id}\t\\\\x{row.sealed}" for row, id in zip(rows, ids, strict=True))
    copy_in(cursor, "registrations_personaldata", "registrant_id, sealed", lines)
    return ids


def _inserted(cursor: CursorWrapper, rows: Sequence[_Row]) -> list[int | None]:
    """Those of the rows that are not there yet, inserted; None instead of an id for the others, and for repeated ones."""
    fields = list(zip(*(row.line.split("\t") for row in rows), strict=True))
    cursor.execute(
        f"""
        WITH arriving AS (
            SELECT * FROM unnest(
                %s::uuid[], %s::timestamptz[], %s::smallint[], %s::smallint[], %s::smallint[], %s::smallint[],
                %s::smallint[], %s::smallint[], %s::smallint[], %s::int[], %s::int[], %s::smallint[],
                %s::smallint[], %s::smallint[], %s::text[]
            ) AS arriving ({_FIELDS}, sealed)
        ), registrant AS (
            INSERT INTO registrations_registrant ({_FIELDS})
            SELECT {_FIELDS.replace("citizen, studying", "citizen::bool, studying::bool")} FROM arriving
            ON CONFLICT (reference) DO NOTHING
            RETURNING id, reference
        ), data AS (
            INSERT INTO registrations_personaldata (registrant_id, sealed)
            SELECT registrant.id, decode(arriving.sealed, 'hex') FROM registrant JOIN arriving USING (reference)
        )
        SELECT reference, id FROM registrant
        """,
        [*map(array, fields), array(row.sealed for row in rows)],
    )
    new: dict[UUID, int] = dict(cursor.fetchall())
    return [new.pop(row.reference, None) for row in rows]


def send_link(registrant_id: int, *, at: datetime, instant: datetime | None = None) -> None:
    """Let the pipeline mail the link that verifies the address once more.

    `instant`: what follows counts as done then (a simulation's time).
    """
    with transaction.atomic():
        clear_drop_off([registrant_id], Stage.REGISTERED, at)
        enqueue("email", [registrant_id], instants=[instant] if instant else None)


_Waves: TypeAlias = Sequence[tuple[int, datetime | None]]


def _waves(cursor: CursorWrapper, until: datetime) -> _Waves:
    """Number and close of all waves, in order. If none of them closes after `until`, the next one, without dates, is planned."""
    select = "SELECT number, closes_at FROM registrations_wave ORDER BY number"
    cursor.execute(select)
    waves: _Waves = cursor.fetchall()
    if not any(closes is None or closes > until for _, closes in waves):
        # Somebody else may be planning it at this moment.
        number = waves[-1][0] + 1 if waves else 1
        cursor.execute("INSERT INTO registrations_wave (number) VALUES (%s) ON CONFLICT DO NOTHING", [number])
        cursor.execute(select)
        waves = cursor.fetchall()
    return waves


def _wave_of(instant: datetime, waves: _Waves) -> int:
    """The first wave that closes after the instant. A later instant never has an earlier wave."""
    return next(number for number, closes in waves if closes is None or closes > instant)
