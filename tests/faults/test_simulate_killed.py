"""A simulation by several processes, stopped in every way there is, ends on the same figures."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from prakerja.embedded.postgres import NAME
from prakerja.embedded.servers import Servers
from prakerja.simulation import programme
from registrations import funnel
from registrations.models import EmailOwner, NikOwner, PhoneOwner, Registrant
from registrations.stages import Stage
from tests.conftest import ROOT, project_environment
from tests.processes import children_of, gone, kill, running, wait_until

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


class Machine:
    """A machine of the test's own, with database and broker, which can be cut off from its power and started again."""

    def __init__(self, state):
        self.servers = Servers(state)
        self.psql = [self.servers.postgres.bin / "psql", "-h", self.servers.sockets, "-U", NAME, "-d", NAME, "-At"]

    def start(self):
        endpoints = self.servers.start()
        self.environment = {"DATABASE_URL": endpoints.database_url, "REDIS_URL": endpoints.redis_url, "LEASE_SECONDS": "2"}

    def lose_power(self, run):
        """Everything that runs ends at once, and says goodbye to nobody."""
        servers = [pid for pid in self.servers.running().values() if pid]
        assert len(servers) == 2
        below = [child for pid in servers for child in children_of(pid)]
        kill(run)
        for pid in [*servers, *below]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not any(self.servers.running().values()), seconds=10, what="the servers are dead")
        wait_until(lambda: all(map(gone, below)), seconds=10, what="and all below them")

    @contextmanager
    def held_up_at(self, table):
        """Whoever wants to write into it waits, with all its work in hand."""
        with subprocess.Popen(self.psql, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as hand:
            hand.stdin.write(f"BEGIN; LOCK TABLE {table} IN SHARE MODE;\n".encode())
            hand.stdin.flush()
            try:
                yield
            finally:
                hand.kill()

    def ask(self, sql):
        return subprocess.run([*self.psql, "-c", sql], capture_output=True, text=True, check=True).stdout.strip()

    def figures(self):
        """Those that no draw decides: why somebody was not drawn, and how many answer a survey, may come out otherwise."""
        why = f"CASE WHEN stage <> {Stage.PHONE_VERIFIED} THEN drop_off END"
        return [
            self.ask(f"SELECT stage, {why}, count(*) FROM registrations_registrant GROUP BY 1, 2 ORDER BY 1, 2"),
            self.ask("SELECT count(*) FROM trainings_purchase"),
            self.ask("SELECT state, count(*) FROM incentives_obligation WHERE amount = 600000 GROUP BY 1 ORDER BY 1"),
        ]


@pytest.fixture
def machine():
    with tempfile.TemporaryDirectory(prefix="pk-machine-") as state:
        machine = Machine(Path(state) / "state")
        machine.start()
        try:
            yield machine
        finally:
            machine.servers.destroy()


def test_whatever_the_machine_was_at_when_its_power_failed_it_goes_on_to_the_same_figures(machine, tmp_path):
    simulate = ["manage.py", "simulate", "--registrants", "1000", "--seed", "3", "--workers", "2"]
    log = tmp_path / "log"

    def to_the_end(*arguments):
        with running(*arguments, log=log, **machine.environment) as run:
            assert run.wait(120) == 0, log.read_text()[-2000:]
        return log.read_text().splitlines()[-1], machine.figures()

    to_the_end("manage.py", "migrate", "-v", "1")
    for table in ("registrations_nikowner", "incentives_payout"):
        with machine.held_up_at(table), running(*simulate, log=log, **machine.environment) as run:
            waiting = f"SELECT count(*) FROM pg_locks WHERE relation = '{table}'::regclass AND NOT granted"
            wait_until(lambda sql=waiting: machine.ask(sql) != "0", seconds=60, what=f"it would write {table}")
            assert run.poll() is None
            machine.lose_power(run)
        machine.start()
    disturbed = to_the_end(*simulate)
    to_the_end("manage.py", "recount")

    assert disturbed == to_the_end(*simulate, "--reset")
