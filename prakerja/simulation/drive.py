"""Driving a simulation: people sign up wave by wave, and everything moves until nothing is left to do.

The state of a run is in the database: who has been sent in, what waits in which queue. Whoever goes on with it, whenever,
ends on the same figures.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from uuid import UUID

from django.db import connection, transaction

from foundation import services
from foundation.work import outstanding
from prakerja.models import Run
from prakerja.simulation import inhabitants
from prakerja.simulation.population import Population, SimulatedPerson
from prakerja.simulation.programme import WavePlan
from registrations import funnel
from registrations.intake import SignUp, register
from registrations.models import Education, Employment, Registrant, Sex, Wave
from registrations.person import Person
from registrations.regions import Province
from verification import identity, links, phone

PIPELINE = ("email", "identity", "phone")
HOMES = ("mailbox", "handset")

#: So many people may be on their way at once: a code must be typed within five minutes of its being sent.
ON_THE_WAY = 20_000

#: What a simulation needs empty, and leaves full.
TABLES = (
    "registrations_registrant",
    "registrations_personaldata",
    "registrations_emailowner",
    "registrations_nikowner",
    "registrations_phoneowner",
    "registrations_draft",
    "registrations_movement",
    "registrations_cell",
    "registrations_wave",
    "verification_onetimecode",
    "verification_signinlink",
    "foundation_work",
    "foundation_setaside",
    "foundation_servicestate",
    "foundation_mockmessage",
    "prakerja_run",
)


@dataclass(frozen=True, slots=True)
class Simulation:
    """One run: its people, and how they are sent through."""

    run: Run
    plans: list[WavePlan]
    population: Population

    @property
    def goal(self) -> int:
        """How many climbs there are in all, the registrations among them."""
        return sum(
            plan.registered + plan.email_verified + plan.identity_verified + plan.phone_verified for plan in self.plans
        )

    def done(self) -> int:
        """How many of these have happened."""
        waves = [plan.number for plan in self.plans]
        views = [funnel.View(wave=number) for number in waves]
        return sum(rung.people for view in views for rung in funnel.read(view).rungs)

    def drive(self, *, batch: int, pipeline: bool, progress: Callable[[], None]) -> None:
        """Go on until everybody has been sent in and nothing is left to do.

        With `pipeline`, this process does the pipeline's work too; without, workers elsewhere do it, and this one only
        sends people in and is the inhabitants.
        """
        people = self.population.people(start=self.run.sent_in)
        while True:
            sent = outstanding(PIPELINE + HOMES) < ON_THE_WAY and self._send_in(people, batch)
            worked = self._inhabitants(batch) + (pipeline_once(batch) if pipeline else 0)
            funnel.fold()
            progress()
            if not sent and not worked:
                if self._all_sent_in() and not outstanding(PIPELINE + HOMES):
                    return
                time.sleep(0.05)

    def _all_sent_in(self) -> bool:
        return self.run.sent_in >= sum(plan.registered for plan in self.plans)

    def _inhabitants(self, batch: int) -> int:
        return inhabitants.read_mail(self.population, size=batch) + inhabitants.read_texts(self.population, size=batch)

    def _send_in(self, people: Iterator[SimulatedPerson], batch: int) -> bool:
        """Send the next people in; False when there are none left."""
        sign_ups = [sign_up_of(person, self.run.seed) for person in islice(people, batch)]
        if not sign_ups:
            return False
        with transaction.atomic():
            register(sign_ups, instants=True)
            self.run.sent_in += len(sign_ups)
            self.run.save(update_fields=["sent_in"])
        return True


def pipeline_once(batch: int) -> int:
    """One batch of every stage; return how many people were in hand."""
    return (
        links.send_batch(email=services.get("email"), size=batch)
        + identity.check_batch(dukcapil=services.get("dukcapil"), size=batch)
        + phone.send_batch(sms=services.get("sms"), size=batch)
    )


def sign_up_of(person: SimulatedPerson, seed: int) -> SignUp:
    """A simulated person as the intake takes them; the same person has the same reference in every run of this seed."""
    return SignUp(
        reference=UUID(int=(seed & 0xFFFFFFFF) << 96 | 0x5 << 76 | 0x2 << 62 | person.number),
        person=Person(
            name=person.name,
            email=person.email,
            nik=person.nik,
            kk=person.kk,
            birth_date=person.birth_date,
            phone=person.phone,
        ),
        sex=Sex(person.sex),
        province=Province(person.province),
        education=Education(person.education),
        employment=Employment(person.employment),
        citizen=True,
        studying=person.studying,
        registered_at=person.registered_at,
    )


class NotFresh(Exception):
    """There are people in the database who do not belong to this simulation."""


def begin(plans: list[WavePlan], *, scale: Fraction, seed: int) -> Simulation:
    """A new simulation, or the one with these very numbers that has begun before. Raises `NotFresh`."""
    asked = Run(seed=seed, scale=str(scale), first_wave=plans[0].number, last_wave=plans[-1].number)
    run = Run.objects.first()
    if run is None:
        if Registrant.objects.exists():
            raise NotFresh("There are registrants already.")
        with transaction.atomic():
            for plan in plans:
                Wave.objects.update_or_create(
                    number=plan.number,
                    defaults={"opens_at": plan.opens_at, "closes_at": plan.closes_at, "quota": plan.quota},
                )
            asked.save(force_insert=True)
        run = asked
    elif (run.seed, run.scale, run.first_wave, run.last_wave) != (
        asked.seed,
        asked.scale,
        asked.first_wave,
        asked.last_wave,
    ):
        raise NotFresh(f"There is another simulation already: {run}.")
    return Simulation(run, plans, Population(seed, plans))


def forget_everything() -> None:
    """Empty what a simulation fills: all registrants, waves and waiting work."""
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(TABLES)} RESTART IDENTITY")
