"""A wave of the verified people whom the floor has left: joined, frozen, drawn, decreed and announced, with each act's commit."""

from datetime import timedelta
from fractions import Fraction

from django.db import connection, transaction
from django.utils import timezone

from benchmarks.clock import checkpoint, seconds
from foundation.processes import beside
from foundation.work import work_off
from prakerja.models import Run
from prakerja.simulation import drive
from prakerja.simulation import programme as programme_of_2020
from prakerja.simulation.population import Population
from prakerja.simulation.programme import WavePlan
from registrations.models import Registrant, Wave
from registrations.stages import Stage
from waves import decrees, joining, naming, programme, screening
from waves import draw as drawing
from waves.models import Decree, Plan
from waves.randomness import MockBeacon

WAVE = 99
BATCH = 10_000
WRITERS = 3
#: What a wave of 2020 had at most, of applications and of places.
APPLICATIONS, PLACES = 4_000_000, 800_000


def measure(people: int) -> dict[str, float]:
    """Among those whom the floor has left; without it, among so many who have signed up just so."""
    if not Registrant.objects.exists():
        _sign_up(people)
    return _measure()


def _sign_up(people: int) -> None:
    """So many people as the intake writes them, of whom every second one is moved up to a verified phone by bare SQL."""
    plans = programme_of_2020.plan_registrants(people)
    drive.begin(plans, scale=Fraction(people, programme_of_2020.REGISTERED), seed=1, batch=BATCH)
    with beside(_arrive, plans, processes=WRITERS):
        pass
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")  # no ledger: nobody reads it
        cursor.execute(
            """
            UPDATE registrations_registrant
            SET stage = %s, email_verified_at = registered_at, identity_verified_at = registered_at,
                phone_verified_at = registered_at
            WHERE id %% 2 = 0
            """,
            [Stage.PHONE_VERIFIED],
        )
        cursor.execute("RESET session_replication_role")
        cursor.execute("TRUNCATE foundation_work")
        cursor.execute("VACUUM ANALYZE registrations_registrant")
    checkpoint()


def _arrive(plans: list[WavePlan]) -> None:
    run = Run.objects.get()
    simulation = drive.Simulation(run, plans, Population(run.seed, plans))
    while work_off("arrivals", size=1, service=None, act=simulation.send_in):
        pass


def _measure() -> dict[str, float]:
    at = timezone.now()
    programme.load_rule_sets()
    with connection.cursor() as cursor:
        # Whom chance picks: they lie all over the tables.
        cursor.execute(
            "SELECT id FROM registrations_registrant WHERE stage = %s ORDER BY uuid_hash_extended(reference, 1) LIMIT %s",
            [Stage.PHONE_VERIFIED, APPLICATIONS],
        )
        ids = sorted(id for (id,) in cursor.fetchall())
    quota = min(PLACES, len(ids) * 9 // 10)
    wave = Wave.objects.create(number=WAVE, opens_at=at - timedelta(days=1), closes_at=at + timedelta(days=1), quota=quota)
    Plan.objects.create(wave=wave, rule_set_id="2020-04")
    joined = seconds(lambda: _join(ids))
    later, beacon = at + timedelta(days=2), MockBeacon()
    screening.screen(wave, at=later)
    frozen = seconds(lambda: drawing.freeze(wave, at=later))
    draw = wave.draws.get()
    drawing.commit(draw, chain=beacon.chain, round=beacon.chain.first_after(later), at=later)
    drawing.run(draw, signature=beacon.signature(draw.round or 0) or b"", at=later + timedelta(hours=1))
    drawing.publish(draw, at=later + timedelta(hours=1))
    decreed = seconds(lambda: naming.issue(draw, by="bench", at=later + timedelta(hours=1)))
    announced = seconds(lambda: naming.announce(draw, at=later + timedelta(hours=1)))
    verified = seconds(lambda: _verify(draw.decrees.get()))
    return {
        "joins_per_s": len(ids) / joined,
        "freeze_tickets": draw.tickets,
        "freeze_s": frozen,
        "decree_names": draw.selected or 0,
        "decree_s": decreed,
        "announce_s": announced,
        "decree_verified_per_s": (draw.selected or 0) / verified,
    }


def _verify(decree: Decree) -> None:
    """Its list opened and hashed anew, its statement and signature looked at."""
    if found := decrees.faults(decree):
        raise SystemExit(f"the decree is not as it was signed: {found}")


def _join(ids: list[int]) -> None:
    with transaction.atomic():  # as those commit who join one by one is not what is measured
        for start in range(0, len(ids), BATCH):
            joining.join(WAVE, ids[start : start + BATCH])
