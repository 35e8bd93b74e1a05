"""Intake: how people come to be registrants, one from the sign-up form or thousands at once. The same statement serves both."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction

from foundation.pg import array
from foundation.work import enqueue
from registrations.ladder import clear_drop_off
from registrations.models import Education, Employment, Sex
from registrations.person import Person
from registrations.regions import Province
from registrations.stages import Stage

#: The text of the consent that people agree to now; see the last step of the sign-up form.
CONSENT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SignUp:
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


def register(sign_ups: Sequence[SignUp], *, instants: bool = False) -> dict[UUID, int]:
    """Make registrants of these people and let the pipeline write to them; return the ids of the new ones by reference.

    Whoever is registered under the same reference already is left as they are. Everyone belongs to the first wave that
    closes after they registered; where no such wave is planned yet, the next one is. With `instants`, what follows counts
    as done when they registered (a simulation's time); without, when it is done.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        _plan_a_wave_for(max(sign_up.registered_at for sign_up in sign_ups))
        cursor.execute(
            """
            WITH arriving AS (
                SELECT arriving.*, (
                    SELECT number FROM registrations_wave wave
                    WHERE wave.closes_at > arriving.registered_at OR wave.closes_at IS NULL ORDER BY number LIMIT 1
                ) AS wave_id
                FROM unnest(
                    %s::uuid[], %s::bytea[], %s::timestamptz[], %s::smallint[], %s::smallint[], %s::smallint[],
                    %s::smallint[], %s::smallint[], %s::smallint[], %s::bool[], %s::bool[]
                ) AS arriving (reference, sealed, registered_at, province, birth_year, sex,
                               education, employment, consent, citizen, studying)
            ), registrant AS (
                INSERT INTO registrations_registrant (
                    reference, registered_at, wave_id, stage, drop_off, province, birth_year, sex, education, employment,
                    consent, revision, citizen, studying
                )
                SELECT reference, registered_at, wave_id, 1, 0, province, birth_year, sex, education, employment,
                       consent, 0, citizen, studying
                FROM arriving
                ON CONFLICT (reference) DO NOTHING
                RETURNING id, reference
            ), data AS (
                INSERT INTO registrations_personaldata (registrant_id, sealed)
                SELECT registrant.id, arriving.sealed FROM registrant JOIN arriving USING (reference)
            )
            SELECT reference, id FROM registrant
            """,
            [
                array(sign_up.reference for sign_up in sign_ups),
                array(sign_up.person.seal(sign_up.reference) for sign_up in sign_ups),
                array(sign_up.registered_at for sign_up in sign_ups),
                array(int(sign_up.province) for sign_up in sign_ups),
                array(sign_up.person.birth_date.year for sign_up in sign_ups),
                array(int(sign_up.sex) for sign_up in sign_ups),
                array(int(sign_up.education) for sign_up in sign_ups),
                array(int(sign_up.employment) for sign_up in sign_ups),
                array(sign_up.consent for sign_up in sign_ups),
                array(int(sign_up.citizen) for sign_up in sign_ups),
                array(int(sign_up.studying) for sign_up in sign_ups),
            ],
        )
        new = dict(cursor.fetchall())
        arrived = [sign_up for sign_up in sign_ups if sign_up.reference in new]
        enqueue(
            "email",
            [new[sign_up.reference] for sign_up in arrived],
            instants=[sign_up.registered_at for sign_up in arrived] if instants else None,
        )
    return new


def send_link(registrant_id: int, *, at: datetime, instant: datetime | None = None) -> None:
    """Let the pipeline mail the link that verifies the address once more.

    `instant`: what follows counts as done then (a simulation's time).
    """
    with transaction.atomic():
        clear_drop_off([registrant_id], Stage.REGISTERED, at)
        enqueue("email", [registrant_id], instants=[instant] if instant else None)


def _plan_a_wave_for(instant: datetime) -> None:
    """See to it that there is a wave to belong to: the next one, its dates not set yet, when all others will have closed."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO registrations_wave (number)
            SELECT coalesce(max(number), 0) + 1 FROM registrations_wave
            HAVING coalesce(bool_and(coalesce(closes_at <= %s, false)), true)
            ON CONFLICT DO NOTHING
            """,
            [instant],
        )
