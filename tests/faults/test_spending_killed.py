"""Whoever is killed or stopped while waves are drawn, or recipients buy, complete and are paid: everybody has done everything once."""

import os
import random
import signal
import subprocess
import sys
import time
from fractions import Fraction

import pytest

from foundation.models import SetAside, Work
from incentives import ledger
from incentives.models import Batch, Obligation, Payout, State
from prakerja.models import Run
from prakerja.simulation import programme, recipients
from registrations import funnel
from registrations.funnel import View
from tests.conftest import ROOT, project_environment
from tests.processes import children_of, gone, wait_until
from trainings import accounts
from trainings.models import Purchase, Review
from waves.models import Application

PEOPLE = 5000
SCALE = Fraction(PEOPLE, programme.REGISTERED)
#: It is stopped by Ctrl-C, or killed, soon after there are so many of these, and more than when it began.
STOPS = [
    (Application, 1, signal.SIGINT),
    (Purchase, 1, signal.SIGKILL),
    (Review, 1, signal.SIGINT),
    (Payout, 100, signal.SIGKILL),
    (Batch, 30, signal.SIGKILL),
]

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes as Linux shows them"),
]


def simulate(log, *options):
    """With leases short enough for a test."""
    command = [sys.executable, "manage.py", "simulate", "--registrants", str(PEOPLE), "--seed", "3", "--workers", "2"]
    return subprocess.Popen(
        [*command, *options],
        cwd=ROOT,
        env=project_environment() | {"LEASE_SECONDS": "2"},
        stdout=log.open("ab"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def await_rows(run, rows, count):
    end = time.monotonic() + 60
    while rows.objects.count() < count:
        assert run.poll() is None, "it has ended"
        assert time.monotonic() < end, f"{rows.__name__} did not come to {count}"
        time.sleep(0.01)


def test_killed_or_stopped_anywhere_everybody_is_paid_once_and_the_figures_are_the_same(tmp_path):
    log, rng = tmp_path / "log", random.Random(4)
    for rows, count, way in STOPS:
        before = rows.objects.count()
        run = simulate(log)
        await_rows(run, rows, max(count, before + 1))
        helpers = children_of(run.pid)
        if way == signal.SIGINT:
            os.killpg(run.pid, way)  # as the terminal does
            assert run.wait(30) == 130, log.read_text()[-2000:]
            assert log.read_text().endswith("Stopped. Run the command again to go on.\n")
        else:
            time.sleep(rng.uniform(0, 0.2))
            for helper in helpers if rows is Payout else ():
                os.kill(helper, way)
            run.kill()  # the first process alone: its helpers must notice
            assert run.wait(30) == -way, "it had not ended by itself"
        wait_until(lambda helpers=helpers: all(map(gone, helpers)), seconds=15, what="no process is left")
        assert Run.objects.get().spending == (rows is not Application), "which part it was stopped in"

    assert simulate(log).wait(120) == 0, log.read_text()[-2000:]

    plans = recipients.plan(SCALE)
    for plan in plans:
        rungs = [rung.people for rung in funnel.read(View(selected_wave=plan.wave)).rungs]
        assert rungs[4:] == [plan.selected, plan.bought, plan.completed, plan.received]
    assert Purchase.objects.count() == sum(plan.bought for plan in plans)
    assert Review.objects.filter(purchase_id__in=Purchase.objects.values("pk")).count() == Review.objects.count()
    paid = Obligation.objects.filter(state=State.PAID)
    assert Payout.objects.filter(state=Payout.State.PAID).count() == paid.count(), "each by one attempt"
    assert not Payout.objects.filter(attempt__gt=1).exists()
    assert funnel.recount().differences == []
    assert accounts.recount() == []
    assert ledger.recount() == []
    assert not Work.objects.exists()
    assert not SetAside.objects.exists()
