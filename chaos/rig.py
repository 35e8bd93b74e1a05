"""The whole programme as processes of its own, to be killed: servers, mock services, web, supervised workers, beat.

Every process here was started here and is ended by its id. The workers reach Dukcapil, two SMS gateways and a mail server over
HTTP, in two mock servers that keep ledgers of their own: the oracle of what they were asked and told.
"""

import base64
import json
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import redis

from prakerja.embedded.servers import PROJECT, EmbeddedError, Servers

WORKERS = 2

#: Seconds after which a killed server should be back.
LONGEST_RESTART = 60.0

#: A seed of which nonsense comes early.
MISBEHAVING = {"fail_percent": 30, "wrong_schema_percent": 5, "too_many_percent": 2, "seed": 2}
MISBEHAVING_RECEIPTS = {
    "dropped_percent": 3,
    "doubled_percent": 5,
    "late_percent": 10,
    "late_s": 20,
    "out_of_order_percent": 10,
    "replayed_percent": 5,
    "forged_percent": 2,
    "unknown_percent": 2,
}


class Rig:
    """Everything that runs, in the folder `state`. A context: all of it is gone afterwards."""

    def __init__(self, state: Path, *, lease: float, batch: int, people: int) -> None:
        self.state = state
        self.servers = Servers(state)
        self.lease = lease
        self._people = people
        #: What services allow, in records a second; the mock servers count whoever goes beyond. Where there are few people, Dukcapil
        #: allows so few that its quota is used up time and again.
        self.rates = {"dukcapil": min(3000, max(100, people // 12)), "sms": 3000, "email": 3000}
        self._options = {"LEASE_SECONDS": str(lease), "BATCH_SIZE": str(batch)}
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._broker = redis.Redis(unix_socket_path=str(self.servers.valkey.socket))
        #: Seconds in which a killed server did not answer.
        self.down = 0.0

    def __enter__(self) -> Self:
        """Start the servers and make their addresses this process's own; the rest follows with `start`."""
        endpoints = self.servers.start()
        self.port = _free_port()
        secret = base64.b64encode(secrets.token_bytes(32)).decode()
        receipts = ("--receipts-to", f"http://127.0.0.1:{self.port}/api/v1/sms/receipts/", "--receipt-secret", secret)
        self.mocks = [self._mock(name, *receipts) for name in ("mock-1", "mock-2")]
        os.environ.update(
            DATABASE_URL=endpoints.database_url,
            REDIS_URL=endpoints.redis_url,
            PRAKERJA_STATE=str(self.state),
            DJANGO_SETTINGS_MODULE="prakerja.settings",
            DUKCAPIL_URL=self.mocks[0],
            SMS_URL=self.mocks[0],
            SMS_2_URL=self.mocks[1],
            EMAIL_URL=self.mocks[1],
            DUKCAPIL_RATE=str(self.rates["dukcapil"]),
            SMS_RATE=str(self.rates["sms"]),
            SMS_2_RATE=str(self.rates["sms"]),
            EMAIL_RATE=str(self.rates["email"]),
            SMS_RECEIPT_SECRETS=secret,
            HINTS="1",
            **self._options,
        )
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._children):
            self.kill(name)
        self.servers.destroy()

    def _mock(self, name: str, *receipts: str) -> str:
        """A mock server's address, when it listens."""
        keep = ("--keep", str(3 * self._people), "--ledger", str(self.state / f"{name}.jsonl"))
        quota = [part for name, rate in self.rates.items() for part in ("--fault", f"{name}.quota_records={rate}")]
        mock = self._spawn(name, "manage.py", "mockservices", "--port", "0", *keep, *quota, *receipts, pipe=True)
        return mock.stdout.readline().decode().strip() if mock.stdout else ""

    def start(self) -> None:
        """Start web, workers and beat, on a database that is ready, and wait until all workers listen."""
        for name in self.names:
            self._spawn(name, *self._command(name))
        while self._listening() < WORKERS:
            time.sleep(0.1)

    def _listening(self) -> int:
        clients: Any = self._broker.client_list()
        return sum(client["cmd"] == "brpop" and "b" in client["flags"] for client in clients)

    @property
    def names(self) -> list[str]:
        return [*self.workers, "beat", "web"]

    @property
    def workers(self) -> list[str]:
        return [f"worker-{number}" for number in range(WORKERS)]

    def _command(self, name: str) -> Sequence[str]:
        if name == "web":
            bind = f"127.0.0.1:{self.port}"
            return (
                "-m",
                "gunicorn",
                "prakerja.wsgi",
                "--workers",
                "1",
                "--threads",
                "2",
                "--worker-class",
                "gthread",
                "-b",
                bind,
            )
        if name == "beat":
            return ("-m", "celery", "-A", "prakerja", "beat", "-s", str(self.state / "schedule"), "--pidfile=")
        return ("manage.py", "worker", "--name", name, "--concurrency", "1")

    def _spawn(self, name: str, *arguments: str, pipe: bool = False) -> "subprocess.Popen[bytes]":
        with (self.state / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=PROJECT,
                env=os.environ | {"HINTS": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if pipe else log,
                stderr=log,
                start_new_session=True,
            )
        self._children[name] = process
        return process

    def kill(self, name: str) -> None:
        """Kill -9 a process that was started here, with its group."""
        process = self._children.pop(name, None)
        if process is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def mind(self) -> None:
        """Start again what has been killed: what an init system does."""
        for name in self.names:
            child = self._children.get(name)
            if child is None or child.poll() is not None:
                self._spawn(name, *self._command(name))

    # What goes wrong

    def kill_worker(self, rng: random.Random, moment: Callable[[], None]) -> None:
        """One of: a supervisor with all below it, the Celery worker below a supervisor, or one process of its pool.

        `moment` returns when it is to happen: all that takes time is done before.
        """
        name = rng.choice(self.workers)
        self.mind()
        supervisor = self._children[name]
        depth = rng.randrange(3)
        below = _descendants(supervisor.pid)
        moment()
        if depth == 0 or len(below) < 2:
            self.kill(name)
        else:
            with suppress(ProcessLookupError):
                os.kill(below[0] if depth == 1 else below[-1], signal.SIGKILL)

    def kill_broker(self, rng: random.Random) -> None:
        """Kill -9 and an empty start, or everything erased."""
        if rng.random() < 0.5:
            self._restart(self.servers.valkey)
        else:
            self.servers.valkey._ask("FLUSHALL")

    def kill_database(self, _: random.Random) -> None:
        self._restart(self.servers.postgres)

    def kill_beat(self, _: random.Random) -> None:
        self.kill("beat")

    def _restart(self, server: Any) -> None:
        start = time.monotonic()
        if (pid := server.pid()) is not None:
            os.kill(pid, signal.SIGKILL)
        while server.pid() is not None:
            time.sleep(0.01)
        while True:
            try:
                server.up()
                break
            except EmbeddedError:
                # What is left of a killed PostgreSQL holds its memory until it has noticed; an init system tries again too.
                if time.monotonic() - start > LONGEST_RESTART:
                    raise
                time.sleep(0.2)
        self.down += time.monotonic() - start

    def outage(self, service: str, seconds: float) -> None:
        """Of Dukcapil, or of the first SMS gateway."""
        self.control({service: {"outage_now_s": seconds}}, of=self.mocks[:1])

    def control(self, faults: dict[str, Any], *, of: Sequence[str] = ()) -> None:
        """Change the faults of these mock servers, or of all, while they run."""
        for mock in of or self.mocks:
            request = urllib.request.Request(  # noqa: S310 - our own address
                f"{mock}/control.json", json.dumps(faults).encode(), {"Content-Type": "application/json"}, method="PUT"
            )
            urllib.request.urlopen(request, timeout=10).close()  # noqa: S310

    def ask_mock(self, number: int, path: str) -> Any:
        """What the first or second mock server (0 or 1) says at this path."""
        with urllib.request.urlopen(f"{self.mocks[number]}{path}", timeout=60) as answer:  # noqa: S310
            text = answer.read().decode()
        return (
            [json.loads(line) for line in text.splitlines()] if path.startswith("/ledger/references") else json.loads(text)
        )


def _free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def _descendants(parent: int) -> list[int]:
    """Children before their own children."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):
            if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(folder.name))
    return [*found, *(pid for child in found for pid in _descendants(child))]
