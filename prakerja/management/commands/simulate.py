"""Live through the programme of 2020 with made-up people."""

import os
import re
import sys
from argparse import ArgumentParser, ArgumentTypeError
from fractions import Fraction
from typing import Any, NoReturn

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from tqdm import tqdm

from foundation.processes import ProcessDied
from prakerja.simulation import drive, programme, recipients, selection
from prakerja.simulation.calls import Astray
from prakerja.simulation.recipients import Course, RecipientPlan, Recipients
from prakerja.simulation.spending import Spending
from registrations import funnel
from registrations.models import Registrant
from registrations.stages import DropOff, Stage
from waves.models import Decree, Recipient

#: How many people are taken in hand at once: more than the workers of a real service would.
BATCH = 10_000
MOST_WORKERS = 64


def _scale(text: str) -> Fraction:
    try:
        scale = Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise ArgumentTypeError(f"a scale is a number such as 0.001, not {text!r}") from error
    if not 0 < scale <= 1:
        raise ArgumentTypeError("a scale is above 0 and at most 1")
    return scale


def _registrants(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) <= programme.REGISTERED:
        raise ArgumentTypeError(f"a number of registrants is a whole number from 1 to {programme.REGISTERED}")
    return int(text)


def _waves(text: str) -> range:
    if not (written := re.fullmatch(r"([1-8])(?:-([1-8]))?", text)):
        raise ArgumentTypeError("waves are written like 3 or 1-8, from 1 to 8")
    waves = range(int(written[1]), int(written[2] or written[1]) + 1)
    if not waves:
        raise ArgumentTypeError("waves go from the lower number to the higher one")
    return waves


def _workers(text: str) -> int:
    if not text.isdigit() or int(text) > MOST_WORKERS:
        raise ArgumentTypeError(f"a number of processes is a whole number from 0 to {MOST_WORKERS}")
    return int(text)


def _show(bar: "tqdm[NoReturn]", done: int) -> None:
    bar.update(done - bar.n)
    bar.refresh()


class Command(BaseCommand):
    help = "Send made-up people through the whole programme of 11 April to 15 September 2020, against the mock services."

    def add_arguments(self, parser: ArgumentParser) -> None:
        size = parser.add_mutually_exclusive_group(required=True)
        size.add_argument("--scale", type=_scale, metavar="S", help="1 is all 23.171.233 people; 0.001 a thousandth")
        size.add_argument("--registrants", type=_registrants, metavar="N", help="so many people")
        parser.add_argument("--seed", type=int, default=2020, metavar="X", help="another seed, other people (default 2020)")
        parser.add_argument("--waves", type=_waves, default=range(1, 9), metavar="1-8", help="only these waves")
        parser.add_argument(
            "--workers",
            type=_workers,
            # One more than there are cores: somebody always waits for the disk.
            default=(os.cpu_count() or 1) + 1,
            metavar="N",
            help="so many processes (default: one more than cores); 0: leave the pipeline to the Celery workers that run",
        )
        parser.add_argument(
            "--without-draws", action="store_true", help="end when everybody is verified: nobody joins or is drawn"
        )
        parser.add_argument(
            "--without-spending", action="store_true", help="end when the decrees are issued: nobody buys a training"
        )
        parser.add_argument("--reset", action="store_true", help="forget all registrants first")
        parser.add_argument(
            "--if-empty", action="store_true", help="do nothing when somebody is registered and no run is unfinished"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.PRODUCTION:
            raise CommandError("Made-up people do not belong into production.")
        migrations = MigrationExecutor(connection)
        if migrations.migration_plan(migrations.loader.graph.leaf_nodes()):
            raise CommandError("The database is not that of this version: run manage.py migrate first.")
        if options["reset"]:
            drive.forget_everything()
        scale: Fraction = options["scale"] or Fraction(options["registrants"], programme.REGISTERED)
        plans = programme.plan(scale, options["waves"])
        try:
            simulation = drive.begin(plans, scale=scale, seed=options["seed"], batch=BATCH)
        except drive.NotFresh as error:
            if options["if_empty"]:
                self.stdout.write(f"{error} Going on with {Registrant.objects.count()} registrants.")
                return
            raise CommandError(f"{error} Start with --reset to forget them.") from error
        office: list[selection.Office] = []
        recipient_plans: list[RecipientPlan] = []
        try:
            self._climb(simulation, workers=options["workers"])
            if not options["without_draws"]:
                office = selection.offices(plans, scale)
                self._select(office, seed=options["seed"])
                if not options["without_spending"] and (recipient_plans := recipients.plan(scale, options["waves"])):
                    self._spend(simulation, recipient_plans, workers=options["workers"])
        except (ProcessDied, Astray) as error:
            raise CommandError(f"{error}. Run the command again to go on.") from error
        except KeyboardInterrupt:
            raise CommandError("Stopped. Run the command again to go on.", returncode=130) from None
        self._report(simulation, office, recipient_plans)

    def _climb(self, simulation: drive.Simulation, *, workers: int) -> None:
        with tqdm(total=simulation.goal, initial=simulation.done(), unit=" climbs", file=sys.stderr, mininterval=0.5) as bar:
            simulation.drive(batch=BATCH, workers=workers, tick=lambda: _show(bar, simulation.done()))

    def _select(self, offices: list[selection.Office], *, seed: int) -> None:
        goal, taken = sum(office.steps for office in offices), sum(office.taken() for office in offices)
        with tqdm(total=goal, initial=taken, unit=" steps", file=sys.stderr, mininterval=0.5) as bar:

            def tick(doing: str, more: int) -> None:
                bar.update(more)
                if bar.desc != doing:
                    bar.set_description_str(doing)

            selection.run(offices, seed=seed, tick=tick)
        funnel.fold()

    def _spend(self, simulation: drive.Simulation, plans: list[RecipientPlan], *, workers: int) -> None:
        spending = Spending(simulation.run, simulation.population, Recipients(simulation.run.seed, plans))
        with tqdm(total=spending.goal, initial=spending.done(), unit=" climbs", file=sys.stderr, mininterval=0.5) as bar:
            spending.drive(workers=max(workers, 1), tick=lambda: _show(bar, spending.done()))

    def _report(
        self, simulation: drive.Simulation, offices: list[selection.Office], recipient_plans: list[RecipientPlan]
    ) -> None:
        """Say what came out, and fail when it is not exactly what the programme says."""
        wrong = []
        for plan in simulation.plans:
            rungs = {rung.stage: rung.people for rung in funnel.read(funnel.View(wave=plan.number)).rungs}
            for stage, expected in (
                (Stage.REGISTERED, plan.registered),
                (Stage.EMAIL_VERIFIED, plan.email_verified),
                (Stage.IDENTITY_VERIFIED, plan.identity_verified),
                (Stage.PHONE_VERIFIED, plan.phone_verified),
            ):
                if rungs[stage] != expected:
                    wrong.append(f"wave {plan.number}, {stage.label}: {rungs[stage]} instead of {expected}")
        for office in offices:
            selected = Recipient.objects.filter(
                decree_id__in=Decree.objects.filter(draw__wave=office.plan.number).values("id")
            )
            if selected.count() != (office.accepted or 0):
                wrong.append(f"wave {office.plan.number}: {selected.count()} named instead of {office.accepted or 0}")
        for of_wave in recipient_plans:
            found = {rung.stage: rung for rung in funnel.read(funnel.View(selected_wave=of_wave.wave)).rungs}
            for stage, expected in (
                (Stage.TRAINING_BOUGHT, of_wave.bought),
                (Stage.TRAINING_COMPLETED, of_wave.completed),
                (Stage.INCENTIVE_RECEIVED, of_wave.received),
            ):
                if found[stage].people != expected:
                    wrong.append(
                        f"recipients of wave {of_wave.wave}, {stage.label}: {found[stage].people} instead of {expected}"
                    )
            lost = {entry.reason: entry.people for rung in found.values() for entry in rung.lost}
            reasons = {course.drop_off: of_wave.courses[course] for course in Course if course.drop_off}
            for reason, expected in (reasons | {DropOff.REVOKED: of_wave.revoked}).items():
                if lost.get(reason, 0) != expected:
                    wrong.append(
                        f"recipients of wave {of_wave.wave}, {reason.label}: {lost.get(reason, 0)} instead of {expected}"
                    )
        if wrong:
            raise CommandError("The figures are not those of the programme:\n" + "\n".join(wrong))
        shown = 8 if recipient_plans else 5 if offices else 4
        totals = " / ".join(f"{rung.people:,}".replace(",", ".") for rung in funnel.read().rungs[:shown])
        self.stdout.write(f"Done: {totals}")
