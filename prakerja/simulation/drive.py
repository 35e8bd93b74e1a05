"""Driving a simulation: people sign up wave by wave, and everything moves until nothing is left to do.

The state of a run is in the database, all of it as work: who is still to arrive waits in the queue `arrivals`, and everything
else in the pipeline's own. So any number of processes may drive a run, each of them may be killed, and whoever goes on with
it, whenever, ends on the same figures.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import repeat
from uuid import UUID

from django.apps import apps
from django.db import connection, transaction

from foundation import services
from foundation.processes import beside, for_batches
from foundation.work import Claim, enqueue, outstanding, work_off
from prakerja.models import Run
from prakerja.simulation import inhabitants
from prakerja.simulation.population import Population, SimulatedPerson
from prakerja.simulation.programme import WavePlan
from registrations import funnel
from registrations.intake import SignUp, register
from registrations.models import Registrant, Wave
from registrations.person import Person
from registrations.stages import Stage
from verification import identity, links, phone

PIPELINE = ("email", "identity", "phone")
QUEUES = ("arrivals", *PIPELINE, "mailbox", "handset")

#: While others do the pipeline's work, so many people may be on their way at once: a code must be typed within five minutes.
ON_THE_WAY = 20_000
#: The funnel's ledger is folded every so many seconds, and progress is told.
TICK = 5.0

#: What a simulation needs empty, and leaves full: all that these apps hold, but for what is not about the people of a run.
EMPTIED = ("foundation", "partners", "registrations", "waves", "trainings", "verification", "incentives", "prakerja")
KEPT = frozenset(
    {
        *("waves.RuleSet", "waves.PersonList", "waves.ListEntry", "trainings.Training"),
        *("partners.Partner", "partners.Client", "partners.Secret", "partners.Address"),
    }
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
        rungs = [rung for view in views for rung in funnel.read(view).rungs]
        return sum(rung.people for rung in rungs if rung.stage <= Stage.PHONE_VERIFIED)

    def drive(self, *, batch: int, workers: int, tick: Callable[[], None]) -> None:
        """Go on until everybody has arrived and nothing is left to do.

        `tick` is called after the first batch, and then every five seconds. So many `workers`, this process among them, do
        all of the work. With none, the pipeline's work is done elsewhere, and this process only sends people in and is the
        inhabitants.
        """
        with beside(_help, (self.run, self.plans, batch), processes=workers - 1):
            ticked = -math.inf
            for _ in self.work(batch=batch, pipeline=workers > 0):
                if time.monotonic() - ticked > TICK:
                    funnel.fold()
                    tick()
                    ticked = time.monotonic()
        funnel.fold()
        tick()

    def work(self, *, batch: int, pipeline: bool) -> Iterator[None]:
        """Work batch by batch, pausing after each, until nothing is left to do."""
        for_batches()
        acts = self.acts(batch=batch, pipeline=pipeline).values()
        while True:
            if not any(act() for act in acts):
                if not outstanding(QUEUES):
                    return
                time.sleep(0.05)
            yield

    def acts(self, *, batch: int, pipeline: bool) -> dict[str, Callable[[], int]]:
        """What there is to do, each act for one batch, with how many were in hand. Those who are furthest go first."""
        return {
            "type_codes": lambda: inhabitants.read_texts(self.population, size=batch),
            "send_codes": lambda: phone.send_batch(sms=services.get("sms"), size=batch) if pipeline else 0,
            "check_identities": lambda: (
                identity.check_batch(dukcapil=services.get("dukcapil"), size=batch) if pipeline else 0
            ),
            "open_links": lambda: inhabitants.read_mail(self.population, size=batch),
            "mail_links": lambda: links.send_batch(email=services.get("email"), size=batch) if pipeline else 0,
            "sign_up": lambda: self._arrive() if pipeline or outstanding(PIPELINE) < ON_THE_WAY else 0,
        }

    def _arrive(self) -> int:
        """Let the next people sign up; return how many parcels of them were in hand."""
        return work_off("arrivals", size=1, service=None, act=self.send_in)

    def send_in(self, claim: Claim) -> int:
        """Let a parcel of people sign up; return how many they are."""
        people = [person for start, _, stop in claim.items for person in self.population.people(start, stop)]
        arriving = sign_ups(people, self.run.seed)
        with claim.settling():
            register(arriving, instants=True)
        return len(arriving)


def _help(task: tuple[Run, list[WavePlan], int]) -> None:
    """What a process beside the first one does."""
    run, plans, batch = task
    for _ in Simulation(run, plans, Population(run.seed, plans)).work(batch=batch, pipeline=True):
        pass


def sign_ups(people: Sequence[SimulatedPerson], seed: int) -> list[SignUp]:
    """Simulated people as the intake takes them; the same person has the same reference in every run of this seed."""
    if not people:
        return []
    # Column by column, in the order of their fields: thousands are made at a time.
    columns = list(zip(*people, strict=True))
    numbers, _wave, _fate, *person = columns[:9]
    province, sex, education, employment, studying, registered_at = columns[9:15]
    first = (seed & 0xFFFFFFFF) << 96 | 0x5 << 76 | 0x2 << 62
    return list(
        map(
            SignUp,
            [UUID(int=first | number) for number in numbers],
            map(Person, *person),
            sex,
            province,
            education,
            employment,
            repeat(True),
            studying,
            registered_at,
        )
    )


class NotFresh(Exception):
    """There are people in the database who do not belong to this simulation."""


def begin(plans: list[WavePlan], *, scale: Fraction, seed: int, batch: int) -> Simulation:
    """A new simulation, or the one with these very numbers that has begun before. Raises `NotFresh`.

    People will arrive `batch` at a time.
    """
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
            everybody = sum(plan.registered for plan in plans)
            for start in range(0, everybody, batch):
                enqueue("arrivals", [start], notes=[min(start + batch, everybody)], hint=False)
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
    models = [model for model in apps.get_models(include_auto_created=True) if model._meta.app_label in EMPTIED]
    tables = sorted(model._meta.db_table for model in models if model._meta.label not in KEPT)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL prakerja.forgetting = 'on'")  # else the database keeps every decree
        cursor.execute(f"TRUNCATE {', '.join(tables)} RESTART IDENTITY")
