"""A wave of all verified people whom the chain has left: joined, frozen, drawn, decreed and announced. Leaves them as they were."""

from datetime import timedelta

from django.db import connection, transaction
from django.utils import timezone

from benchmarks.clock import seconds
from registrations.models import Wave
from registrations.stages import Stage
from waves import draw as drawing
from waves import joining, naming, programme, screening
from waves.models import Plan
from waves.randomness import MockBeacon

WAVE = 99
BATCH = 10_000


def measure() -> dict[str, float]:
    with transaction.atomic():
        figures = _measure()
        transaction.set_rollback(True)
    return figures


def _measure() -> dict[str, float]:
    at = timezone.now()
    programme.load_rule_sets()
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM registrations_registrant WHERE stage = %s ORDER BY id", [Stage.PHONE_VERIFIED])
        ids = [id for (id,) in cursor.fetchall()]
    wave = Wave.objects.create(
        number=WAVE, opens_at=at - timedelta(days=1), closes_at=at + timedelta(days=1), quota=len(ids) * 9 // 10
    )
    Plan.objects.create(wave=wave, rule_set_id="2020-04")
    joined = seconds(lambda: [joining.join(WAVE, ids[start : start + BATCH]) for start in range(0, len(ids), BATCH)])
    later, beacon = at + timedelta(days=2), MockBeacon()
    screening.screen(wave, at=later)
    frozen = seconds(lambda: drawing.freeze(wave, at=later))
    draw = wave.draws.get()
    drawing.commit(draw, chain=beacon.chain, round=beacon.chain.first_after(later), at=later)
    drawing.run(draw, signature=beacon.signature(draw.round or 0) or b"", at=later + timedelta(hours=1))
    drawing.publish(draw, at=later + timedelta(hours=1))
    decreed = seconds(lambda: naming.issue(draw, by="bench", at=later + timedelta(hours=1)))
    announced = seconds(lambda: naming.announce(draw, at=later + timedelta(hours=1)))
    return {
        "joins_per_s": len(ids) / joined,
        "freeze_tickets": draw.tickets,
        "freeze_s": frozen,
        "decree_names": draw.selected or 0,
        "decree_s": decreed,
        "announce_s": announced,
    }
