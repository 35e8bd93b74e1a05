"""A bulk intake that ends before its end: killed, interrupted, or a worker of it killed. Nobody half in, nobody twice."""

import os
import signal
import subprocess
import time

import pytest

from foundation.work import outstanding
from registrations import funnel
from registrations.models import PersonalData, Registrant
from tests.processes import children_of, gone, running, wait_until
from tests.registrations.test_intake_file import row, text_of

PEOPLE = 80_000


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    path = tmp_path_factory.mktemp("intake") / "people.csv"
    path.write_text(text_of([row(number) for number in range(1, PEOPLE + 1)]))
    return path


def kill_the_intake(main: subprocess.Popen[bytes], workers: list[int]) -> int:
    os.kill(main.pid, signal.SIGKILL)
    return -signal.SIGKILL


def kill_a_worker(main: subprocess.Popen[bytes], workers: list[int]) -> int:
    os.kill(workers[0], signal.SIGKILL)
    return 2


def press_ctrl_c(main: subprocess.Popen[bytes], workers: list[int]) -> int:
    os.killpg(main.pid, signal.SIGINT)  # as a terminal does: everybody in the foreground gets it
    return 2


@pytest.mark.parametrize("end", [kill_the_intake, kill_a_worker, press_ctrl_c])
@pytest.mark.django_db(transaction=True)
def test_an_intake_that_ends_in_the_middle_goes_on_when_it_is_run_again(people, tmp_path, end):
    command = ["manage.py", "intake", str(people), "--workers", "2"]
    log = tmp_path / "first.log"

    with running(*command, log=log) as first:
        wait_until(Registrant.objects.exists, seconds=60, what="the first people are registered")
        workers = children_of(first.pid)
        code = end(first, workers)
        assert first.wait(20) == code, log.read_text()
        ended_at = time.monotonic()
        wait_until(lambda: all(map(gone, workers)), seconds=10, what="the workers end by themselves")
    registered = Registrant.objects.count()
    with running(*command, log=tmp_path / "second.log") as second:
        assert second.wait(120) == 0, (tmp_path / "second.log").read_text()

    assert len(workers) == 2
    assert time.monotonic() - ended_at < 60
    assert 0 < registered < PEOPLE, "it ended in the middle"
    assert "Traceback" not in log.read_text()
    assert Registrant.objects.count() == PersonalData.objects.count() == outstanding(["email"]) == PEOPLE
    assert funnel.recount().differences == []
