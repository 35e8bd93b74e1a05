"""Whoever is killed in the middle of joining, screening, drawing or decreeing has done each step once, or not at all."""

import random
import subprocess
import sys
import time

import pytest

from prakerja.simulation import programme, selection
from registrations import funnel
from registrations.models import Registrant
from registrations.stages import Stage
from tests.conftest import ROOT, project_environment
from waves import decrees
from waves.models import Application, Decree, Draw, OrderBlock, Place, Recipient, Ticket

PEOPLE, KILLS = 20_000, 7

pytestmark = pytest.mark.django_db(transaction=True)


def simulate(log, *options):
    command = [sys.executable, "manage.py", "simulate", "--registrants", str(PEOPLE), "--seed", "3", *options]
    return subprocess.Popen(
        command, cwd=ROOT, env=project_environment(), stdout=log.open("ab"), stderr=subprocess.STDOUT, start_new_session=True
    )


def test_killed_anywhere_the_waves_come_to_the_same_decrees(tmp_path):
    log, rng = tmp_path / "log", random.Random(4)
    assert simulate(log, "--without-draws").wait(120) == 0, log.read_text()[-2000:]
    steps = set()
    for _ in range(KILLS):
        run = simulate(log)
        time.sleep(rng.uniform(2.0, 4.5))
        run.kill()
        run.wait(30)
        steps.add((Application.objects.count(), Draw.objects.count(), Decree.objects.count()))

    assert simulate(log).wait(180) == 0, log.read_text()[-2000:]

    assert len(steps) > 1, "it was killed at several places"
    scale = programme.Fraction(PEOPLE, programme.REGISTERED)
    accepted = [office.accepted for office in selection.offices(programme.plan(scale), scale) if office.accepted]
    assert [decree.names for decree in Decree.objects.all()] == accepted
    assert [decree.number for decree in Decree.objects.all()] == list(range(1, 8)), "no gap where one was killed"
    assert all(decrees.faults(decree) == [] for decree in Decree.objects.all())
    assert Recipient.objects.count() == Place.objects.count() == sum(accepted)
    assert Registrant.objects.filter(stage=Stage.SELECTED).count() == sum(accepted)
    assert Draw.objects.count() == 7, "each wave was drawn once"
    of_draws = set(Draw.objects.values_list("pk", flat=True))
    for rows in (Ticket, OrderBlock, Place):
        assert set(rows.objects.values_list("draw_id", flat=True)) == of_draws, "nothing half done is left"
    assert funnel.recount().differences == []
