"""Screening: one run over all applications of a wave, which finds for each person every rule that speaks against them."""

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime

from django.db import connection, transaction
from django.db.models import F
from django.utils.translation import gettext as _

from registrations.ladder import standing
from registrations.models import Wave
from registrations.regions import WIB
from registrations.stages import DropOff, Stage
from waves import lists, rules, state
from waves.models import Application, ListKind, PersonList, Plan, RuleSet, Screening

#: So many people's birth dates are looked at at a time.
BATCH = 5000


class NotNow(Exception):
    """This step is not possible now; the message says why."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What a screening came to."""

    applications: int
    ineligible: int
    reasons: dict[DropOff, int]
    #: By which people were looked up.
    lists: list[PersonList]


def try_out(wave: Wave, rule_set: RuleSet) -> Findings:
    """What these rules would come to in this wave: nothing is written."""
    with transaction.atomic():
        found = _screen(wave, rule_set)
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE screened")
    return found


def screen(wave: Wave, *, at: datetime) -> Screening:
    """Screen the wave, which must be closed `at` this instant, by the rules in force for it; an earlier screening is replaced.

    Raises `NotNow`.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT closes_at FROM registrations_wave WHERE number = %s FOR UPDATE", [wave.number])
        [closes_at] = cursor.fetchone()
        if closes_at is None or at < closes_at:
            raise NotNow(_("Wave %(wave)s is not closed yet.") % {"wave": wave.number})
        if wave.draws.filter(annulled_at=None).exists():
            raise NotNow(_("The list of wave %(wave)s is frozen.") % {"wave": wave.number})
        if state.has_ended_undrawn(wave):
            raise NotNow(_("The result has been announced."))
        plan = Plan.objects.select_related("rule_set").filter(wave=wave).first()
        if plan is None:
            raise NotNow(_("Wave %(wave)s has no rules.") % {"wave": wave.number})
        cursor.execute("DELETE FROM waves_ineligible WHERE wave_id = %s", [wave.number])
        Screening.objects.filter(wave=wave).update(is_current=False)
        found = _screen(wave, plan.rule_set)
        cursor.execute(
            """
            INSERT INTO waves_ineligible (registrant_id, wave_id, reasons, lists)
            SELECT registrant_id, %s, reasons, lists FROM screened
            """,
            [wave.number],
        )
        cursor.execute("DROP TABLE screened")
        cursor.execute("ANALYZE waves_ineligible")  # else a freeze right after this one takes them for one row
        screening = Screening.objects.create(
            wave=wave,
            rule_set=plan.rule_set,
            at=at,
            applications=found.applications,
            ineligible=found.ineligible,
            reasons={str(reason.value): people for reason, people in found.reasons.items()},
        )
        screening.lists.set(found.lists)
    return screening


def current(wave: Wave) -> Screening:
    """The wave's screening, if rules, lists and number of applications are still those of it. Raises `NotNow`.

    No list is replaced then before the caller's transaction ends.
    """
    screening = wave.screenings.filter(is_current=True).first()
    if screening is None:
        raise NotNow(_("The applications of wave %(wave)s have not been screened.") % {"wave": wave.number})
    if not _is_up_to_date(screening, wave.plan):
        raise NotNow(
            _("The rules, a list or the applications of wave %(wave)s have changed since the screening: screen them again.")
            % {"wave": wave.number}
        )
    return screening


def _is_up_to_date(screening: Screening, plan: Plan) -> bool:
    if screening.rule_set_id != plan.rule_set_id:
        return False
    newest = {one.pk for one in lists.newest(_kinds(plan.rule_set))}
    if newest != set(screening.lists.values_list("pk", flat=True)):
        return False
    return screening.applications == Application.objects.filter(wave=screening.wave_id).count()


def keeps_all_out(wave: Wave) -> bool:
    """Whether the wave's screening has found nobody eligible: there is nothing to draw."""
    return wave.screenings.filter(is_current=True, ineligible=F("applications")).exists()


def _kinds(rule_set: RuleSet) -> set[ListKind]:
    """The lists that its rules look at."""
    return {kind for rule in rules.of(rule_set) for kind in rule.lists}


def _screen(wave: Wave, rule_set: RuleSet) -> Findings:
    """Everybody against whom a rule speaks, with all reasons, as the table `screened`."""
    assert wave.closes_at is not None  # noqa: S101 - it is closed
    last_day = wave.closes_at.astimezone(WIB).date()
    values = {"year": last_day.year, "minors": "%(minors)s::bigint[]", "cap": rule_set.household_cap or 32767}
    cases = ", ".join(
        f"CASE WHEN {rule.condition.format(**values)} THEN {rule.reason.value} END" for rule in rules.of(rule_set)
    )
    # First of all: what is looked up by them, and what is kept of them, must be of the same ones.
    looked_at = lists.newest(_kinds(rule_set))
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            CREATE TEMP TABLE screened ON COMMIT DROP AS
            WITH listed AS (
                SELECT owner.registrant_id, array_agg(list.kind::text) AS kinds, array_agg(list.id) AS lists
                FROM waves_listentry entry JOIN waves_personlist list ON list.id = entry.list_id
                JOIN registrations_nikowner owner USING (digest)
                WHERE entry.list_id = ANY (%(lists)s) GROUP BY 1
            ), household AS (
                SELECT owner.household, count(*) AS recipients
                FROM registrations_registrant recipient JOIN registrations_nikowner owner ON owner.registrant_id = recipient.id
                WHERE recipient.selected_wave_id IS NOT NULL AND owner.household IS NOT NULL GROUP BY 1
            ), found AS (
                SELECT application.registrant_id, array_remove(ARRAY[{cases}]::smallint[], NULL) AS reasons,
                       coalesce(listed.lists, '{{}}')::int[] AS lists
                FROM waves_application application
                JOIN registrations_registrant registrant ON registrant.id = application.registrant_id
                LEFT JOIN listed ON listed.registrant_id = registrant.id
                {_HOUSEHOLDS if rule_set.household_cap else ""}
                WHERE application.wave_id = %(wave)s
            )
            SELECT registrant_id, reasons, lists FROM found WHERE reasons <> '{{}}'
            """,
            {"lists": [one.pk for one in looked_at], "minors": _minors(wave, last_day), "wave": wave.number},
        )
        cursor.execute("SELECT count(*) FROM waves_application WHERE wave_id = %s", [wave.number])
        [applications] = cursor.fetchone()
        cursor.execute("SELECT reason, count(*) FROM screened, unnest(reasons) reason GROUP BY 1 ORDER BY 1")
        reasons = Counter({DropOff(reason): people for reason, people in cursor.fetchall()})
        cursor.execute("SELECT count(*) FROM screened")
        [ineligible] = cursor.fetchone()
    return Findings(applications, ineligible, dict(reasons), looked_at)


_HOUSEHOLDS = """
    LEFT JOIN registrations_nikowner owner ON owner.registrant_id = registrant.id
    LEFT JOIN household ON household.household = owner.household
"""


def _minors(wave: Wave, last_day: date) -> list[int]:
    """Who turns 18 only after `last_day`, of those who do so in its year: their birth dates are sealed."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT registrant.id FROM waves_application application
            JOIN registrations_registrant registrant ON registrant.id = application.registrant_id
            WHERE application.wave_id = %s AND registrant.birth_year = %s
            """,
            [wave.number, last_day.year - 18],
        )
        turning = [id for (id,) in cursor.fetchall()]
    minors = []
    for start in range(0, len(turning), BATCH):
        people = standing(turning[start : start + BATCH], Stage.PHONE_VERIFIED, or_above=True)
        for id, person in people.items():
            born = person.open().birth_date
            if (born.month, born.day) > (last_day.month, last_day.day):
                minors.append(id)
    return minors
