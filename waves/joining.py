"""Joining a wave, and leaving it: one statement, whether for one person's click or for thousands."""

from collections.abc import Sequence
from datetime import datetime
from enum import Enum

from django.db import connection, transaction

from foundation.pg import array
from registrations.stages import Stage


class Outcome(Enum):
    JOINED = "joined"
    #: They had joined it already.
    ALREADY = "already"
    #: The wave is not open at this instant.
    NOT_OPEN = "not open"
    #: Not verified by phone yet, or selected before.
    NOT_READY = "not ready"
    #: They wait for the result of another wave.
    ELSEWHERE = "elsewhere"


def join(wave: int, ids: Sequence[int], *, at: Sequence[datetime] | None = None) -> list[Outcome]:
    """Let these registrants join the wave, `at` these instants or now by the database's clock; one outcome each, in order.

    Whoever joins is on the way again: what kept them from an earlier wave is no reason any more.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        # Locked in one order: nobody joins two waves at the same moment.
        cursor.execute(
            """
            WITH wanting AS MATERIALIZED (
                SELECT id, coalesce(at, statement_timestamp()) AS at
                FROM unnest(%(ids)s::bigint[], %(at)s::timestamptz[]) AS wanting (id, at)
            )
            SELECT registrant.id, registrant.stage, wanting.at,
                   wanting.at >= wave.opens_at AND wanting.at < wave.closes_at
                       AND NOT EXISTS (SELECT FROM waves_draw draw WHERE draw.wave_id = wave.number AND annulled_at IS NULL)
            FROM wanting JOIN registrations_registrant registrant USING (id)
            LEFT JOIN registrations_wave wave ON wave.number = %(wave)s
            ORDER BY registrant.id FOR NO KEY UPDATE OF registrant
            """,
            {"ids": array(ids), "at": array(at) if at else [None] * len(ids), "wave": wave},
        )
        found = {id: (stage, instant, is_open) for id, stage, instant, is_open in cursor.fetchall()}
        ready = [id for id, (stage, _, is_open) in found.items() if stage == Stage.PHONE_VERIFIED and is_open]
        cursor.execute(
            """
            SELECT registrant_id, bool_or(application.wave_id = %s) FROM waves_application application
            LEFT JOIN waves_draw draw
                ON draw.wave_id = application.wave_id AND draw.annulled_at IS NULL AND draw.announced_at IS NOT NULL
            WHERE registrant_id = ANY (%s::bigint[]) AND (
                application.wave_id = %s OR draw.id IS NULL AND NOT EXISTS (
                    SELECT FROM waves_screening screening
                    WHERE screening.wave_id = application.wave_id AND screening.announced_at IS NOT NULL))
            GROUP BY 1
            """,
            [wave, array(ready), wave],
        )
        elsewhere = dict(cursor.fetchall())
        joining = [id for id in ready if id not in elsewhere]
        cursor.execute(
            """
            WITH joining AS (
                SELECT * FROM unnest(%s::bigint[], %s::timestamptz[]) AS joining (id, at)
            ), cleared AS (
                UPDATE registrations_registrant registrant SET drop_off = 0, drop_off_at = joining.at
                FROM joining WHERE registrant.id = joining.id AND drop_off <> 0
            )
            INSERT INTO waves_application (registrant_id, wave_id, joined_at) SELECT id, %s, at FROM joining
            """,
            [array(joining), array(found[id][1] for id in joining), wave],
        )
    joined = set(joining)
    return [_outcome(id, found, elsewhere, joined) for id in ids]


def _outcome(id: int, found: dict[int, tuple[int, datetime, bool]], elsewhere: dict[int, bool], joined: set[int]) -> Outcome:
    if id in joined:
        return Outcome.JOINED
    if id in elsewhere:
        return Outcome.ALREADY if elsewhere[id] else Outcome.ELSEWHERE
    if id in found and not found[id][2]:
        return Outcome.NOT_OPEN
    return Outcome.NOT_READY


def leave(wave: int, registrant_id: int) -> bool:
    """Leave a wave before it closes, by the database's clock; whether somebody did."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            DELETE FROM waves_application application USING registrations_wave wave
            WHERE application.wave_id = %s AND application.registrant_id = %s AND wave.number = application.wave_id
              AND statement_timestamp() < wave.closes_at
            """,
            [wave, registrant_id],
        )
        return bool(cursor.rowcount)
