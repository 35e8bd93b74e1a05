"""A simulation by several processes, stopped in every way there is, ends on the same figures."""

import os
import signal
import subprocess
import sys
import time

import pytest

from prakerja.simulation import programme
from registrations import funnel
from registrations.models import EmailOwner, NikOwner, PhoneOwner, Registrant
from tests.conftest import ROOT, project_environment
from tests.processes import children_of, gone, wait_until

PEOPLE = 30_000

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes as Linux shows them"),
]


def begin(log):
    """The command in a process group of its own, with leases short enough for a test."""
    return subprocess.Popen(
        [
            sys.executable,
            "manage.py",
            "simulate",
            "--registrants",
            str(PEOPLE),
            "--seed",
            "3",
            "--workers",
            "2",
            "--without-draws",
        ],
        cwd=ROOT,
        env=project_environment() | {"LEASE_SECONDS": "3"},
        stdout=log.open("ab"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def until_climbed(run, share, log):
    """Wait until so many have climbed while the command runs."""
    wait_until(
        lambda: Registrant.objects.filter(stage__gte=2).count() >= share * PEOPLE or run.poll() is not None,
        seconds=60,
        what="people climb",
    )
    assert run.poll() is None, log.read_text()[-2000:]


@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGINT], ids=["killed", "Ctrl-C"])
def test_who_stops_it_anywhere_goes_on_to_the_same_figures(tmp_path, way):
    log = tmp_path / "log"
    for share in (0.1, 0.4):
        run = begin(log)
        until_climbed(run, share, log)
        helpers = children_of(run.pid)
        if way == signal.SIGINT:
            os.killpg(run.pid, signal.SIGINT)  # as the terminal does
        else:
            run.kill()  # the first process alone: its helpers must notice
        run.wait(30)
        wait_until(lambda helpers=helpers: all(map(gone, helpers)), seconds=15, what="no process is left")

    last = begin(log)
    assert last.wait(120) == 0, log.read_text()[-2000:]

    scale = programme.Fraction(PEOPLE, programme.REGISTERED)
    expected = [programme.half_up(figure * scale) for figure in (23_171_233, 18_000_000, 13_400_000, 11_990_000)]
    assert [rung.people for rung in funnel.read().rungs[:4]] == expected
    assert [owner.objects.count() for owner in (EmailOwner, NikOwner, PhoneOwner)] == expected[1:]
    assert funnel.recount().differences == []


def test_a_helper_that_dies_is_said_and_its_work_is_done_by_the_next_run(tmp_path):
    log = tmp_path / "log"
    run = begin(log)
    until_climbed(run, 0.1, log)
    for helper in children_of(run.pid):
        os.kill(helper, signal.SIGKILL)

    deadline = time.monotonic() + 120
    while run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)

    assert run.returncode != 0
    assert "failed" in log.read_text()
    assert begin(log).wait(60) == 0
    assert Registrant.objects.count() == PEOPLE
    assert funnel.recount().differences == []
