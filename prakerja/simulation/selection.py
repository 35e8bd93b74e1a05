"""What the simulated programme office does: its waves are joined, screened, drawn, decreed and announced, one after the other.

How far it has come is in the database: applications, screening, draw and decree are each there or not, and who goes on with a
run does what is missing. The round that counts is the mock beacon's, so the same seed does not draw the same people again.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from fractions import Fraction
from typing import NamedTuple, TypeAlias

from django.db import connection, transaction

from prakerja.simulation.programme import WavePlan, accepted, half_up
from registrations.models import Wave
from registrations.stages import Stage
from waves import draw, joining, naming, programme, screening
from waves.models import Application, Change, Draw, Plan
from waves.randomness import MockBeacon

#: How many join where nothing was published.
ASSUMED = {2: 1_500_000, 3: 1_000_000}
#: So many join in one transaction.
BATCH = 10_000
#: What becomes of each application, a step each: joined; and where there is a draw, frozen, drawn, decreed and announced.
STEPS = 5
SIGNER = "Direktur Eksekutif (simulasi)"


#: Told what is being done, and how many steps more have been taken.
Tick: TypeAlias = Callable[[str, int], object]


class Office(NamedTuple):
    """What is done about one wave."""

    plan: WavePlan
    joiners: int
    #: Named in its decree; None: not drawn.
    accepted: int | None
    #: Seats after they were raised at its close; None: they were not.
    raised: int | None = None

    @property
    def steps(self) -> int:
        """Of all its applications."""
        return self.joiners * (STEPS if self.accepted else 1)

    def taken(self) -> int:
        """How many of these have been taken."""
        live = Draw.objects.filter(wave=self.plan.number, annulled_at=None).defer("subtrees").first()
        if live is None:
            return Application.objects.filter(wave=self.plan.number).count()
        return self.joiners * (2 + bool(live.drawn_at) + live.decrees.exists() + bool(live.announced_at))


def offices(plans: list[WavePlan], scale: Fraction) -> list[Office]:
    """How many join and are accepted at this scale; the sum of all waves is the published one times `scale`, rounded."""
    named, openings = accepted(scale), programme.openings()
    return [
        Office(
            plan,
            max(half_up((openings[plan.number].joined or ASSUMED[plan.number]) * scale), named.get(plan.number, 0)),
            named.get(plan.number),
            half_up(openings[plan.number].seats * scale) if openings[plan.number].raised else None,
        )
        for plan in plans
    ]


def run(offices: list[Office], *, seed: int, tick: Tick = lambda doing, more: None) -> None:
    """Do what is missing of each wave, in order."""
    programme.load_rule_sets()
    for office in offices:
        wave = Wave.objects.get(pk=office.plan.number)
        opening = programme.openings()[wave.number]
        Plan.objects.get_or_create(wave=wave, defaults={"rule_set_id": opening.rule_set, "sources": opening.sources})
        _raise(wave, opening, office)
        _join(wave, office.joiners, seed, tick)
        if office.accepted:
            _select(wave, office, tick)


def _raise(wave: Wave, opening: programme.Opening, office: Office) -> None:
    """More seats than planned, as in 2020."""
    if office.raised and opening.raised and not wave.changes.exists():
        _seat(wave, office.raised, opening.raised["reason"], datetime.fromisoformat(opening.raised["at"]))


@transaction.atomic
def _seat(wave: Wave, seats: int, reason: str, at: datetime) -> None:
    """The wave has so many seats from now on, which leaves a trace."""
    Change.objects.create(wave=wave, field="quota", before=str(wave.quota), after=str(seats), reason=reason, at=at)
    wave.quota = seats
    wave.save(update_fields=["quota"])


def _join(wave: Wave, joiners: int, seed: int, tick: Tick) -> None:
    """Let so many of those who are verified and were not selected join; which ones, the seed says."""
    if wave.draws.exists() or Application.objects.filter(wave=wave).count() >= joiners:
        return
    tick(f"wave {wave.number}: joining", 0)
    # Millions: they stay in the database until it is their turn.
    with connection.chunked_cursor() as cursor:
        cursor.execute(
            """
            SELECT id, least(greatest(phone_verified_at, %(opens)s) + (id %% 3600) * interval '1 s',
                             %(closes)s - interval '1 microsecond')
            FROM (
                SELECT id, phone_verified_at FROM registrations_registrant
                WHERE stage = %(stage)s AND phone_verified_at < %(closes)s
                ORDER BY uuid_hash_extended(reference, %(seed)s) LIMIT %(joiners)s
            ) joining ORDER BY id
            """,
            {
                "opens": wave.opens_at,
                "closes": wave.closes_at,
                "stage": Stage.PHONE_VERIFIED,
                "seed": seed + wave.number,
                "joiners": joiners,
            },
        )
        while people := cursor.fetchmany(BATCH):
            ids, instants = zip(*people, strict=True)
            outcomes = joining.join(wave.number, ids, at=instants)
            tick(f"wave {wave.number}: joining", outcomes.count(joining.Outcome.JOINED))


def _select(wave: Wave, office: Office, tick: Tick) -> None:
    """Screen, freeze, commit, draw, publish, decree and announce, an hour apart each, as far as it has not been done."""
    assert wave.closes_at  # noqa: S101

    def told(doing: str, more: int = 0) -> None:
        tick(f"wave {wave.number}: {doing}", more)

    beacon, hours = MockBeacon(), [wave.closes_at + timedelta(hours=hour) for hour in range(1, 8)]
    if wave.quota != office.accepted:
        _seat(wave, office.accepted or 0, "Named in the decree.", hours[0])
    live = wave.draws.filter(annulled_at=None).first()
    if live is None:
        told("screening")
        screening.screen(wave, at=hours[0])
        told("freezing")
        live = draw.freeze(wave, at=hours[1])
        told("freezing", office.joiners)
    if not live.committed_at:
        draw.commit(live, chain=beacon.chain, round=beacon.chain.first_after(hours[3]), at=hours[2])
    if not live.drawn_at:
        told("drawing")
        draw.run(live, signature=beacon.signature(live.round or 0) or b"", at=hours[4])
        told("drawing", office.joiners)
    if not live.published_at:
        draw.publish(live, at=hours[5])
    if not live.decrees.exists():
        told("naming")
        naming.issue(live, by=SIGNER, at=hours[6])
        told("naming", office.joiners)
    if not live.announced_at:
        told("announcing")
        # Simulated time ends in September 2020: nobody's days to buy a training go on to be counted.
        naming.announce(live, at=hours[6], in_earnest=False)
        told("announcing", office.joiners)
