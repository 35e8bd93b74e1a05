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
from tests.registrations.test_intake_file import read_errors, row, text_of

PEOPLE = 80_000


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    path = tmp_path_factory.mktemp("intake") / "people.csv"
    rows = [row(number) for number in range(1, PEOPLE + 1)]
    # In the first block, and after the last person.
    rows = [rows[0], row(PEOPLE + 1, phone="1"), *rows[1:], row(PEOPLE + 2, phone="1")]
    path.write_text(text_of(rows))
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
    errors = tmp_path / "errors.csv"
    command = ["manage.py", "intake", str(people), "--workers", "2", "--errors", str(errors)]
    log = tmp_path / "first.log"

    with running(*command, log=log) as first:
        wait_until(Registrant.objects.exists, seconds=60, what="the first people are registered")
        workers = children_of(first.pid)
        code = end(first, workers)
        assert first.wait(20) == code, log.read_text()
        ended_at = time.monotonic()
        wait_until(lambda: all(map(gone, workers)), seconds=10, what="the workers end by themselves")
    registered = Registrant.objects.count()
    assert not errors.exists()
    with running(*command, log=tmp_path / "second.log") as second:
        assert second.wait(120) == 1, (tmp_path / "second.log").read_text()

    assert len(workers) == 2
    assert time.monotonic() - ended_at < 60
    assert 0 < registered < PEOPLE, "it ended in the middle"
    assert "Traceback" not in log.read_text()
    assert [(line, field) for line, field, _reason in read_errors(errors)] == [("3", "phone"), (str(PEOPLE + 3), "phone")]
    assert len(list(tmp_path.glob(".*"))) == (end is kill_the_intake), "a draft that nobody was left to remove"
    assert Registrant.objects.count() == PersonalData.objects.count() == outstanding(["email"]) == PEOPLE
    assert funnel.recount().differences == []
