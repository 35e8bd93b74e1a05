"""Each way in which Celery and its broker lose work, or go on living without doing any: none delays it by a minute.

The work is that of synthetic people who wait for their link. This process sends no hints (`HINTS` is off), as if each had
been lost. The supervisors run faster than in production, unless `PACE=1` says otherwise, and one test always at that pace.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis
from celery import Celery
from django.db import connection
from kombu import Connection

from foundation import work
from foundation.models import MockMessage, Work
from prakerja.celery import app
from prakerja.embedded.valkey import Valkey
from prakerja.management.commands.worker import QUEUES
from registrations.intake import register
from registrations.models import Movement, Registrant
from registrations.stages import Stage
from tests.people import make_sign_up
from tests.processes import children_of, gone, running, wait_until
from tests.proxy import proxied

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(sys.platform != "linux", reason="a worker dies with its supervisor on Linux only"),
]

PACE = float(os.environ.get("PACE", "0.3"))
#: What no loss may exceed, in seconds: a minute, and so much less at a faster pace; a worker starts at none.
LIMIT = 60.0 if PACE >= 1 else 60 * PACE + 12
PEOPLE = 20


class Broker:
    """A broker of the test's own, which it may erase, kill and start again."""

    def __init__(self, folder: Path) -> None:
        self.valkey = Valkey(folder, folder)
        self.url = f"redis+socket://{self.valkey.socket}?virtual_host=0"
        self.client = redis.Redis(unix_socket_path=str(self.valkey.socket))

    def kill(self) -> None:
        pid = self.valkey.pid()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: self.valkey.pid() is None, seconds=5, what="the broker is dead")

    def listened_to(self) -> bool:
        """Whether a worker waits for messages."""
        return any(client["cmd"] == "brpop" and "b" in client["flags"] for client in self.client.client_list())


@pytest.fixture
def broker() -> Iterator[Broker]:
    with tempfile.TemporaryDirectory(prefix="pk-broker-") as folder:
        broker = Broker(Path(folder))
        broker.valkey.up()
        try:
            yield broker
        finally:
            broker.valkey.down()


class Processes:
    """The supervisors and other processes of a test, all gone at its end."""

    def __init__(self, folder: Path, broker: Broker, stack: ExitStack) -> None:
        self.folder, self.broker, self.stack = folder, broker, stack

    def supervisor(self, name: str = "worker", *options: str, pace: float = PACE, ready: bool = True, **environment: str):
        arguments = ("manage.py", "worker", "--name", name, "--pace", str(pace), "--alive", str(self.folder / "alive"))
        process = self._start(name, *arguments, *options, **environment)
        if ready:
            wait_until(lambda: len(pool_of(process)) == 2 and self.broker.listened_to(), seconds=40, what="a worker listens")
        return process

    def web(self, code: str, **environment: str):
        return self._start("web", "-c", code, **environment)

    def beat(self, name: str):
        return self._start(name, "-m", "celery", "-A", "prakerja", "beat", "-s", str(self.folder / name), "--pidfile=")

    def _start(self, log: str, *arguments: str, **environment: str):
        environment = {"REDIS_URL": self.broker.url, "HINTS": "1", "LOG_LEVEL": "INFO"} | self.slow_mail(0) | environment
        return self.stack.enter_context(running(*arguments, log=self.folder / f"{log}.log", **environment))

    def slow_mail(self, seconds: float) -> dict[str, str]:
        """A mail server that takes so many seconds, and notes which process asks it."""
        noted = {"SLOW_EMAIL_LOG": str(self.folder / "mail.txt"), "SLOW_EMAIL_SECONDS": str(seconds)}
        return noted | {"DJANGO_SETTINGS_MODULE": "tests.faults.slow_settings"}

    def mailers(self) -> list[int]:
        """The processes that have asked the mail server, the last one last."""
        noted = self.folder / "mail.txt"
        return [int(line.split()[0]) for line in noted.read_text().splitlines()] if noted.exists() else []

    def log(self, name: str = "worker") -> str:
        return (self.folder / f"{name}.log").read_text()


@pytest.fixture
def processes(tmp_path, broker) -> Iterator[Processes]:
    with ExitStack() as stack:
        yield Processes(tmp_path, broker, stack)


def worker_of(supervisor: subprocess.Popen[bytes]) -> int | None:
    return next(iter(children_of(supervisor.pid)), None)


def pool_of(supervisor: subprocess.Popen[bytes]) -> list[int]:
    worker = worker_of(supervisor)
    return children_of(worker) if worker else []


def sign_up(first: int = 1) -> None:
    """People who wait for their link."""
    register([make_sign_up(number) for number in range(first, first + PEOPLE)])


def everybody_has_mail(people: int = PEOPLE) -> bool:
    return work.outstanding(["email"]) == 0 and MockMessage.objects.count() == people


def measure(report, what: str, *, people: int = PEOPLE) -> float:
    seconds = wait_until(lambda: everybody_has_mail(people), seconds=LIMIT, what=what)
    report("seconds", f"{seconds:.1f}")
    return seconds


def test_the_broker_is_erased_right_after_the_hints_were_sent(processes, broker, record_property):
    sign_up()
    with Connection(broker.url) as link:
        app.send_task("work.email", queue="email", connection=link)
    assert broker.client.llen("email") == 1
    broker.client.flushall()

    processes.supervisor()

    measure(record_property, "mail after the broker was erased")


def test_the_broker_is_erased_under_a_worker_that_listens(processes, broker, record_property):
    processes.supervisor()
    broker.client.flushall()
    sign_up()

    measure(record_property, "mail after the broker was erased")


def test_the_broker_is_killed_and_comes_back_empty(processes, broker, record_property):
    supervisor = processes.supervisor()
    broker.kill()
    sign_up()
    broker.valkey.up()

    measure(record_property, "mail after the broker's death")
    wait_until(broker.listened_to, seconds=LIMIT, what="a worker listens again")
    assert supervisor.poll() is None


def test_there_is_no_broker_all_the_time(processes, broker, record_property):
    broker.kill()
    processes.supervisor(ready=False)
    wait_until(lambda: "no broker" in processes.log(), seconds=30, what="the supervisor is up")
    sign_up()

    seconds = measure(record_property, "mail without a broker")

    assert seconds < 20, "no broker, no delay"
    assert "shows no life" not in processes.log(), "a worker that cannot hear is not to blame"


SIGN_UP = """
import django
django.setup()
from django.test import Client
from tests.registrations.test_sign_up import sign_up
for number in range(1, {people} + 1):
    assert sign_up(Client(headers={{"host": "127.0.0.1"}}), number)["Location"] == "/daftar/surel/"
"""


@pytest.mark.parametrize("swallows", [False, True], ids=["dead", "swallows everything"])
def test_people_sign_up_without_a_broker(processes, broker, record_property, swallows):
    """The hint that each sign-up sends is lost; the sweep makes up for it."""
    with proxied(broker.valkey.socket) as proxy:
        proxy.swallowing = swallows
        if not swallows:
            broker.kill()
        web = processes.web(SIGN_UP.format(people=PEOPLE), REDIS_URL=f"redis://127.0.0.1:{proxy.port}/0")
        assert web.wait(60) == 0, processes.log("web")
        assert proxy.links or "no broker" in processes.log("web"), "it did try"
    assert Registrant.objects.filter(stage=Stage.REGISTERED).count() == work.outstanding(["email"]) == PEOPLE

    if not swallows:
        broker.valkey.up()
    assert broker.client.dbsize() == 0, "nothing has told anybody"
    processes.supervisor()

    measure(record_property, "mail to those who signed up without a broker")


def test_the_broker_is_full(processes, broker, record_property):
    processes.supervisor()
    broker.client.config_set("maxmemory", "1")
    sign_up()

    measure(record_property, "mail while the broker takes no message")


def test_the_broker_ends_all_links(processes, broker, record_property):
    supervisor = processes.supervisor()
    worker = worker_of(supervisor)
    before = {client["id"] for client in broker.client.client_list()}
    ended = sum(int(broker.client.client_kill_filter(_type=kind, skipme=True)) for kind in ("normal", "pubsub"))
    sign_up()
    assert ended >= 2, "the worker listens on one, and is told on another"
    assert len(before & {client["id"] for client in broker.client.client_list()}) == 1, "ours"

    measure(record_property, "mail after all links were ended")
    again = wait_until(lambda: worker_takes_mail(processes, broker, supervisor), seconds=60, what="the worker works again")
    record_property("worker again", f"{again:.1f}")
    assert worker_of(supervisor) == worker, "the same worker, by new links"


def test_a_link_to_the_broker_that_is_half_open(processes, broker, record_property):
    with proxied(broker.valkey.socket) as proxy:
        supervisor = processes.supervisor(REDIS_URL=f"redis://127.0.0.1:{proxy.port}/0")
        proxy.half_open()
        sign_up()

        measure(record_property, "mail over a half-open link")
        again = wait_until(
            lambda: worker_takes_mail(processes, broker, supervisor), seconds=60, what="the worker works again"
        )
        record_property("worker again", f"{again:.1f}")


def test_a_broker_that_swallows_everything(processes, broker, record_property):
    with proxied(broker.valkey.socket) as proxy:
        supervisor = processes.supervisor(REDIS_URL=f"redis://127.0.0.1:{proxy.port}/0")
        proxy.half_open(new_ones=True)
        sign_up()

        measure(record_property, "mail while the broker swallows everything")
        proxy.heal()
        again = wait_until(
            lambda: worker_takes_mail(processes, broker, supervisor), seconds=60, what="the worker works again"
        )
        record_property("worker again", f"{again:.1f}")


def worker_takes_mail(processes: Processes, broker: Broker, supervisor: subprocess.Popen[bytes]) -> bool:
    """Whether, given somebody to write to and a hint, the worker's pool takes them, and not its supervisor."""
    done = len(processes.mailers())
    register([make_sign_up(1000 + done)])
    with Connection(broker.url) as link:
        app.send_task("work.email", queue="email", connection=link)
    wait_until(lambda: len(processes.mailers()) > done, seconds=LIMIT, what="somebody takes it")
    return processes.mailers()[-1] != supervisor.pid


def test_a_worker_that_polls_no_more_is_replaced(processes, broker, record_property):
    """It lives, is linked to the broker, and would answer a ping; but nothing listens for messages any more."""
    supervisor = processes.supervisor()
    worker = worker_of(supervisor)
    hand = Celery(broker=broker.url, set_as_current=False)
    wait_until(lambda: own_queues(broker), seconds=30, what="the supervisor has asked its worker")
    for queue in [*QUEUES.split(","), *own_queues(broker)]:
        hand.control.cancel_consumer(queue)
    wait_until(lambda: not broker.listened_to(), seconds=20, what="nobody listens")
    assert worker_of(supervisor) == worker, "it lives, and hears nothing"
    sign_up()
    started = time.monotonic()

    measure(record_property, "mail despite a deaf worker")
    wait_until(lambda: worker_of(supervisor) != worker, seconds=LIMIT, what="the deaf worker is replaced")
    record_property("replaced", f"{time.monotonic() - started:.1f}")


def own_queues(broker: Broker) -> list[str]:
    """The queues that supervisors ask their own workers by."""
    keys: list[bytes] = broker.client.keys("_kombu.binding.worker.*")  # type: ignore[assignment]
    return [key.decode().removeprefix("_kombu.binding.") for key in keys]


def test_a_worker_that_is_stopped_is_replaced_within_a_minute(processes, record_property):
    """At the pace of production."""
    supervisor = processes.supervisor(pace=1)
    worker = worker_of(supervisor)
    assert worker is not None
    os.kill(worker, signal.SIGSTOP)
    sign_up()
    started = time.monotonic()

    measure(record_property, "mail despite a stopped worker")
    wait_until(lambda: gone(worker), seconds=60 - (time.monotonic() - started), what="the stopped worker is killed")
    record_property("replaced", f"{time.monotonic() - started:.1f}")
    wait_until(lambda: len(pool_of(supervisor)) == 2, seconds=20, what="another one is there")
    assert worker_of(supervisor) != worker


def test_a_pool_that_is_stopped_is_replaced(processes, record_property):
    supervisor = processes.supervisor()
    pool = pool_of(supervisor)
    for pid in pool:
        os.kill(pid, signal.SIGSTOP)
    sign_up()
    started = time.monotonic()

    measure(record_property, "mail despite a stopped pool")
    wait_until(
        lambda: all(map(gone, pool)), seconds=LIMIT - (time.monotonic() - started), what="the stopped processes are killed"
    )
    record_property("replaced", f"{time.monotonic() - started:.1f}")


def test_beat_never_started(processes, record_property):
    processes.supervisor()
    sign_up()
    assert Movement.objects.exists()

    measure(record_property, "mail without beat")
    wait_until(lambda: not Movement.objects.exists(), seconds=LIMIT, what="the ledger is folded without beat")


def test_two_beats_do_nothing_twice(processes, record_property):
    processes.supervisor()
    processes.supervisor("other")
    for name in ("one", "two"):
        processes.beat(name)
    for round in range(3):
        sign_up(1 + round * PEOPLE)

    measure(record_property, "mail with two beats", people=3 * PEOPLE)
    time.sleep(10)
    assert MockMessage.objects.count() == 3 * PEOPLE, "one mail each"


def test_the_hint_of_a_killed_worker_is_not_waited_for(processes, broker, record_property):
    """The broker would give its message to another after two minutes."""
    lease = "5" if PACE < 1 else "30"
    first = processes.supervisor("first", LEASE_SECONDS=lease, **processes.slow_mail(4))
    sign_up()
    with Connection(broker.url) as link:
        app.send_task("work.email", queue="email", connection=link)
    wait_until(processes.mailers, seconds=10, what="the batch is in hand")
    assert broker.client.hlen("unacked") >= 1
    first.kill()
    processes.supervisor("second", ready=False)

    measure(record_property, "mail of a killed worker")


def test_a_supervisor_that_is_killed_leaves_no_process(processes):
    supervisor = processes.supervisor()
    worker, pool = worker_of(supervisor), pool_of(supervisor)
    assert worker is not None

    supervisor.kill()
    supervisor.wait(10)

    wait_until(lambda: all(map(gone, [worker, *pool])), seconds=10, what="worker and pool are gone with their supervisor")


def test_a_worker_that_ends_is_started_again(processes):
    supervisor = processes.supervisor()
    worker = worker_of(supervisor)
    assert worker is not None

    os.kill(worker, signal.SIGKILL)

    wait_until(lambda: worker_of(supervisor) not in (None, worker), seconds=20, what="another worker is there")
    assert "the worker ended" in processes.log()


def test_told_to_end_it_settles_what_is_in_hand(processes, broker):
    supervisor = processes.supervisor(**processes.slow_mail(3))
    sign_up()
    with Connection(broker.url) as link:
        app.send_task("work.email", queue="email", connection=link)
    wait_until(processes.mailers, seconds=10, what="the batch is in hand")

    supervisor.send_signal(signal.SIGTERM)

    assert supervisor.wait(30) == 0
    assert everybody_has_mail()
    assert not Work.objects.exclude(token=None).exists()
    assert broker.client.keys("worker.*") == [], "its own queue is gone with it"


def test_the_database_goes_away_for_a_while(processes, postgres):
    """Connections are ended and refused: the worker is not blamed, and goes on when the database is back."""
    supervisor = processes.supervisor()
    worker = worker_of(supervisor)
    name = connection.settings_dict["NAME"]
    connection.close()
    admin = [str(postgres.bin / "psql"), "-h", connection.settings_dict["HOST"], "-U", connection.settings_dict["USER"]]
    end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"

    subprocess.run(
        [*admin, "-d", "postgres", "-c", f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false', "-c", end], check=True
    )
    try:
        wait_until(lambda: "no database" in processes.log(), seconds=20, what="the supervisor misses the database")
        time.sleep(15)
    finally:
        subprocess.run([*admin, "-d", "postgres", "-c", f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'], check=True)
    sign_up()

    wait_until(everybody_has_mail, seconds=LIMIT, what="mail when the database is back")
    assert worker_of(supervisor) == worker, "the same worker"


def test_a_worker_that_is_honestly_busy_is_left_alone(processes, broker):
    """Both processes have batches in hand that take longer than a supervisor's patience."""
    supervisor = processes.supervisor("worker", "--queues", "email", pace=0.3, BATCH_SIZE="10", **processes.slow_mail(20))
    worker = worker_of(supervisor)
    sign_up()
    with Connection(broker.url) as link:
        for _ in range(2):
            app.send_task("work.email", queue="email", connection=link)

    wait_until(everybody_has_mail, seconds=60, what="the slow mail")

    assert set(processes.mailers()) <= set(pool_of(supervisor)), "the supervisor had nothing to do"
    assert worker_of(supervisor) == worker
    assert "shows no life" not in processes.log()


def test_it_tells_that_it_goes_round(processes, tmp_path):
    processes.supervisor()
    first = (tmp_path / "alive").stat().st_mtime_ns

    wait_until(lambda: (tmp_path / "alive").stat().st_mtime_ns > first, seconds=LIMIT, what="another turn")
