"""The funnel: how many stand on each rung, and why the others do not; exact, and in a millisecond.

It is read from a ledger that the database writes by triggers (`migrations/0002_ledger.py`). Raw movements are folded into
cells by hour, day and month, so that a read sums a few thousand small rows however many people there are: months before the
month of the moment, days before its day, hours before its hour. `recount` computes the same from the people themselves.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.db import connection, transaction

from registrations.models import Cell
from registrations.regions import Province
from registrations.stages import DropOff, Stage

#: Days and months begin when they do in Jakarta. Hours begin alike everywhere in Indonesia.
WIB = ZoneInfo("Asia/Jakarta")

FOLD_LOCK = 0x464F4C44  # "FOLD"

_HOUR, _DAY, _MONTH = Cell.Grain.HOUR, Cell.Grain.DAY, Cell.Grain.MONTH


@dataclass(frozen=True, slots=True)
class Lost:
    """So many people stay on a rung for one reason."""

    reason: DropOff
    people: int


@dataclass(frozen=True, slots=True)
class Rung:
    """One line of the funnel."""

    stage: Stage
    #: How many have reached this rung.
    people: int
    #: How many of them have not reached the next one, reason by reason; the rest of those waits.
    lost: list[Lost]
    #: How many of them stand here with no reason: on their way.
    waiting: int
    #: 0 to 1; None when nobody stands above.
    share_of_above: float | None
    share_of_all: float | None


@dataclass(frozen=True, slots=True)
class View:
    """Which funnel is asked for."""

    #: The one wave (of registration) to count, or the last of those to count.
    wave: int | None = None
    until_wave: int | None = None
    #: The one wave of selection to count, instead: only those whom it selected, wherever they registered.
    selected_wave: int | None = None
    #: All that happened before this instant; none: all until now. The ledger knows full hours.
    as_of: datetime | None = None

    def __post_init__(self) -> None:
        if self.as_of:
            object.__setattr__(self, "as_of", self.as_of.replace(minute=0, second=0, microsecond=0).astimezone(WIB))

    @property
    def waves(self) -> tuple[int, int]:
        """First and last wave counted."""
        if self.selected_wave is not None:
            return self.selected_wave, self.selected_wave
        if self.wave is not None:
            return self.wave, self.wave
        return 0, 32767 if self.until_wave is None else self.until_wave


@dataclass(frozen=True, slots=True)
class Funnel:
    """The eight rungs of one view."""

    view: View
    rungs: list[Rung]

    @property
    def registered(self) -> int:
        return self.rungs[0].people


def read(view: View = View()) -> Funnel:
    """The funnel of this view, from the ledger, in one statement."""
    people: dict[tuple[int, int], int] = dict.fromkeys([(stage, 0) for stage in Stage], 0)
    people |= {(stage, reason): number for _, stage, reason, number in _sums(view, national=True)}
    rungs = []
    for stage in Stage:
        here = people[stage, 0]
        above = people.get((stage + 1, 0), 0)
        lost = [Lost(reason, people.get((stage, reason), 0)) for reason in DropOff.of(stage)]
        rungs.append(
            Rung(
                stage=stage,
                people=here,
                lost=[entry for entry in lost if entry.people],
                waiting=here - above - sum(entry.people for entry in lost),
                share_of_above=None if stage is Stage.REGISTERED else _share(here, people[stage - 1, 0]),
                share_of_all=_share(here, people[Stage.REGISTERED, 0]),
            )
        )
    return Funnel(view, rungs)


class ByProvince(NamedTuple):
    province: Province
    people: dict[Stage, int]


def by_province(view: View = View()) -> list[ByProvince]:
    """How many have reached each rung, province by province, most registrants first."""
    rows: dict[int, dict[Stage, int]] = {}
    for province, stage, reason, number in _sums(view, national=False):
        if not reason:
            rows.setdefault(province, dict.fromkeys(Stage, 0))[Stage(stage)] = number
    found = [ByProvince(Province(province), people) for province, people in rows.items()]
    return sorted(found, key=lambda row: (-row.people[Stage.REGISTERED], row.province))


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _sums(view: View, *, national: bool) -> list[tuple[int, int, int, int]]:
    """(province or 0, stage, reason, people) of the view."""
    first, last = view.waves
    wave = "wave" if view.selected_wave is None else "selected_wave"
    if view.as_of is None:
        cells, raw, moments = f"grain = {_MONTH}", "true", []
    else:
        hour = view.as_of
        day = hour.replace(hour=0)
        month = day.replace(day=1)
        cells = f"""(grain = {_MONTH} AND starts_at < %s) OR (grain = {_DAY} AND starts_at >= %s AND starts_at < %s)
                    OR (grain = {_HOUR} AND starts_at >= %s AND starts_at < %s)"""
        raw, moments = "hour < %s", [month, month, day, day, hour, hour]
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT province, stage, drop_off, sum(people)::bigint FROM (
                SELECT province, stage, drop_off, people FROM registrations_cell
                WHERE province = ANY (%s::smallint[]) AND {wave} BETWEEN %s AND %s AND ({cells})
                UNION ALL
                SELECT {"0" if national else "province"}, stage, drop_off, people FROM registrations_movement
                WHERE {wave} BETWEEN %s AND %s AND ({raw})
            ) AS entries
            GROUP BY 1, 2, 3 HAVING sum(people) <> 0
            """,
            [[0] if national else Province.values, first, last, *moments[:-1], first, last, *moments[-1:]],
        )
        return list(cursor.fetchall())


def fold() -> int:
    """Fold the raw movements into cells; return how many there were. Harmless to call at any time, from anywhere."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [FOLD_LOCK])
        if not cursor.fetchone()[0]:
            return 0
        cursor.execute(
            f"""
            WITH raw AS (
                DELETE FROM registrations_movement RETURNING *
            ), hourly AS MATERIALIZED (
                SELECT wave, selected_wave, stage, drop_off, hour AS starts_at, province, sum(people) AS people
                FROM raw GROUP BY 1, 2, 3, 4, 5, 6 HAVING sum(people) <> 0
            ), daily AS MATERIALIZED (
                SELECT wave, selected_wave, stage, drop_off,
                       date_bin('1 day', starts_at, timestamptz '2020-01-01 00:00+07') AS starts_at, province,
                       sum(people) AS people
                FROM hourly GROUP BY 1, 2, 3, 4, 5, 6
            ), monthly AS MATERIALIZED (
                SELECT wave, selected_wave, stage, drop_off, date_trunc('month', starts_at, 'Asia/Jakarta') AS starts_at, province,
                       sum(people) AS people
                FROM daily GROUP BY 1, 2, 3, 4, 5, 6
            ), fine AS (
                SELECT {_HOUR} AS grain, * FROM hourly
                UNION ALL SELECT {_DAY}, * FROM daily
                UNION ALL SELECT {_MONTH}, * FROM monthly
            ), cells AS (
                INSERT INTO registrations_cell AS cell
                    (grain, province, wave, selected_wave, starts_at, stage, drop_off, people)
                SELECT grain, province, wave, selected_wave, starts_at, stage, drop_off, people FROM fine WHERE people <> 0
                UNION ALL
                SELECT grain, 0, wave, selected_wave, starts_at, stage, drop_off, sum(people)
                FROM fine GROUP BY 1, 2, 3, 4, 5, 6, 7 HAVING sum(people) <> 0
                ON CONFLICT (grain, province, wave, selected_wave, starts_at, stage, drop_off)
                DO UPDATE SET people = cell.people + excluded.people
            )
            SELECT count(*) FROM raw
            """
        )
        return int(cursor.fetchone()[0])


class Difference(NamedTuple):
    """A cell in which the ledger and the people disagree; or two grains of the ledger do."""

    what: str
    wave: int
    selected_wave: int
    province: int
    stage: int
    drop_off: int
    hour: datetime | None
    ledger: int
    people: int


class Recount(NamedTuple):
    registrants: int
    cells: int
    differences: list[Difference]


_RECOUNT = f"""
    WITH ledger AS (
        SELECT wave, selected_wave, province, stage, drop_off, hour, sum(people) AS people FROM (
            SELECT wave, selected_wave, province, stage, drop_off, starts_at AS hour, people
            FROM registrations_cell WHERE grain = {_HOUR} AND province > 0
            UNION ALL
            SELECT wave, selected_wave, province, stage, drop_off, hour, people FROM registrations_movement
        ) AS entries GROUP BY 1, 2, 3, 4, 5, 6
    ), people AS MATERIALIZED (
        SELECT wave_id AS wave, coalesce(selected_wave_id, 0) AS selected_wave, province, rung.stage, 0 AS drop_off,
               date_bin('1 hour', rung.at, timestamptz 'epoch') AS hour, count(*) AS people
        FROM registrations_registrant, LATERAL (VALUES
            (1, registered_at), (2, email_verified_at), (3, identity_verified_at), (4, phone_verified_at),
            (5, selected_at), (6, training_bought_at), (7, training_completed_at), (8, incentive_received_at)
        ) AS rung (stage, at)
        WHERE rung.at IS NOT NULL GROUP BY 1, 2, 3, 4, 5, 6
    ), reasons AS (
        SELECT wave_id AS wave, coalesce(selected_wave_id, 0) AS selected_wave, province, stage, drop_off, count(*) AS people
        FROM registrations_registrant WHERE drop_off <> 0 GROUP BY 1, 2, 3, 4, 5
    ), compared AS (
        SELECT 'arrivals' AS what, wave, selected_wave, province, stage, drop_off, hour,
               coalesce(ledger.people, 0) AS ledger, coalesce(people.people, 0) AS people
        FROM (SELECT * FROM ledger WHERE drop_off = 0 AND people <> 0) AS ledger
        FULL JOIN people USING (wave, selected_wave, province, stage, drop_off, hour)
        UNION ALL
        SELECT 'reasons', wave, selected_wave, province, stage, drop_off, NULL,
               coalesce(ledger.people, 0), coalesce(reasons.people, 0)
        FROM (
            SELECT wave, selected_wave, province, stage, drop_off, sum(people) AS people
            FROM ledger WHERE drop_off <> 0 GROUP BY 1, 2, 3, 4, 5 HAVING sum(people) <> 0
        ) AS ledger
        FULL JOIN reasons USING (wave, selected_wave, province, stage, drop_off)
        UNION ALL
        -- Each coarser cell is the sum of the finer ones.
        SELECT CASE grain WHEN {_HOUR} THEN 'hour' WHEN {_DAY} THEN 'day' ELSE 'month' END
                   || CASE province WHEN 0 THEN ' of all provinces' ELSE '' END,
               wave, selected_wave, province, stage, drop_off, starts_at, sum(coarse)::bigint, sum(fine)::bigint
        FROM (
            SELECT grain, wave, selected_wave, province, stage, drop_off, starts_at, people AS coarse, 0 AS fine
            FROM registrations_cell WHERE grain <> {_HOUR} OR province = 0
            UNION ALL
            SELECT times.grain, wave, selected_wave, places.province, stage, drop_off, times.starts_at, 0, people
            FROM registrations_cell AS hourly,
            LATERAL (VALUES
                ({_HOUR}, starts_at),
                ({_DAY}, date_trunc('day', starts_at, 'Asia/Jakarta')),
                ({_MONTH}, date_trunc('month', starts_at, 'Asia/Jakarta'))
            ) AS times (grain, starts_at),
            LATERAL (VALUES (hourly.province), (0)) AS places (province)
            WHERE hourly.grain = {_HOUR} AND hourly.province > 0 AND (times.grain <> {_HOUR} OR places.province = 0)
        ) AS grains
        GROUP BY 1, 2, 3, 4, 5, 6, 7
    )
    SELECT what, wave, selected_wave, province, stage, drop_off, hour, ledger, people
    FROM compared WHERE ledger <> people ORDER BY 1, 2, 3, 4, 5, 6, 7 LIMIT 1000
"""


def recount() -> Recount:
    """Count everything anew from the people and hold it against the ledger; consistent while others write.

    Compared are: arrivals on every rung in every hour, present reasons, and the ledger's coarse cells with its fine ones.
    """
    with connection.cursor() as cursor:
        # One statement is one snapshot for both sides.
        cursor.execute(_RECOUNT)
        differences = [Difference._make(row) for row in cursor.fetchall()]
        cursor.execute("SELECT (SELECT count(*) FROM registrations_registrant), (SELECT count(*) FROM registrations_cell)")
        registrants, cells = cursor.fetchone()
        return Recount(registrants, cells, differences)


def until_now(now: datetime) -> datetime:
    """The first full hour after `now`: as of then, everything counts."""
    return now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)


def as_json(funnel: Funnel) -> dict[str, Any]:
    """The funnel as the API, the command line and exports give it."""
    view = funnel.view
    return {
        "wave": view.wave,
        "until_wave": view.until_wave,
        "selected_wave": view.selected_wave,
        "as_of": view.as_of.isoformat() if view.as_of else None,
        "rungs": [
            {
                "stage": rung.stage.name.lower(),
                "people": rung.people,
                "share_of_above": rung.share_of_above,
                "share_of_all": rung.share_of_all,
                "waiting": rung.waiting,
                "drop_offs": [{"reason": entry.reason.name.lower(), "people": entry.people} for entry in rung.lost],
            }
            for rung in funnel.rungs
        ],
    }
