"""Whoever is killed in the middle of joining, screening, drawing or decreeing has done each step once, or not at all."""

import random
import signal
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

PEOPLE = 20_000
#: It is killed soon after there are so many of these.
KILLS = [(Application, 1), (Draw, 1), (Decree, 1), (Draw, 3), (Decree, 3), (Draw, 5), (Decree, 5)]

pytestmark = pytest.mark.django_db(transaction=True)


def simulate(log, *options):
    command = [sys.executable, "manage.py", "simulate", "--registrants", str(PEOPLE), "--seed", "3", *options]
    return subprocess.Popen(
        command, cwd=ROOT, env=project_environment(), stdout=log.open("ab"), stderr=subprocess.STDOUT, start_new_session=True
    )


def await_rows(run, rows, count):
    end = time.monotonic() + 60
    while rows.objects.count() < count:
        assert run.poll() is None, "it has ended"
        assert time.monotonic() < end, f"{rows.__name__} did not come to {count}"
        time.sleep(0.01)


def test_killed_anywhere_the_waves_come_to_the_same_decrees(tmp_path):
    log, rng = tmp_path / "log", random.Random(4)
    assert simulate(log, "--without-draws").wait(120) == 0, log.read_text()[-2000:]
    for rows, count in KILLS:
        run = simulate(log, "--without-spending")
        await_rows(run, rows, count)
        time.sleep(rng.uniform(0, 0.3))
        run.kill()
        assert run.wait(30) == -signal.SIGKILL, "it had not ended by itself"

    assert simulate(log, "--without-spending").wait(180) == 0, log.read_text()[-2000:]

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
