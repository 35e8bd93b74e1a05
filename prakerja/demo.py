"""`make demo`: the whole programme on one machine, from an empty folder to a filled dashboard, until Ctrl-C."""

import argparse
import ctypes
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import deque
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, NoReturn

from prakerja.embedded.daemon import born
from prakerja.embedded.servers import PROJECT, EmbeddedError, Servers, default_state

QUEUES = (
    "email,identity,phone,messages,notice_email,notice_sms,webhooks,inbox,celery,"
    "obligations,gates,account_notices,"
    "check_bni,check_bri,check_mandiri,check_ovo,check_linkaja,check_gopay,check_dana,"
    "payout_bni,payout_bri,payout_mandiri,payout_ovo,payout_linkaja,payout_gopay,payout_dana"
)
#: Of these, what the simulation works off by its own clock; a second worker takes it over when that is done.
MONEY = [
    queue for queue in QUEUES.split(",") if queue.startswith(("check_", "payout_")) or queue in ("obligations", "gates")
]
RESTARTS_A_MINUTE = 5
PATIENCE = 10.0  # seconds from SIGTERM to SIGKILL
PYTHON = sys.executable
MANAGE = (PYTHON, "manage.py")
# In one process: loading Django three times would cost a second start some seconds.
PREPARE = """
import os, django
from django.core.management import call_command
os.environ["DJANGO_SETTINGS_MODULE"] = "prakerja.settings"
django.setup()
call_command("migrate")
call_command("collectstatic", interactive=False)
call_command("demo_staff")
call_command("demo_partners")
"""

LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


class DemoError(Exception):
    """Why the demo cannot go on, in one sentence."""


@dataclass
class Child:
    """One process of the demo, restarted when it ends."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes]
    restarts: deque[float] = field(default_factory=lambda: deque([-60.0] * RESTARTS_A_MINUTE, RESTARTS_A_MINUTE))


class Demo:
    """The children, and the note about them that lets a later start end what a killed one left."""

    def __init__(self, servers: Servers, url: str, environment: dict[str, str]) -> None:
        self.servers = servers
        self.state = servers.state
        self.url = url
        self.environment = environment
        self.children: list[Child] = []
        self._running: dict[int, str] = {}

    def start(self, name: str, *command: str) -> None:
        """Start a child that is to stay; its output goes to `<state>/<name>.log`."""
        self.children.append(Child(name, command, self._logged(name, command)))

    def run(self, name: str, *command: str, quiet: bool = True) -> None:
        """Run a command to its end, minding the children meanwhile. Raises `DemoError` when it fails."""
        process = self._logged(name, command) if quiet else self._spawn(command, None)
        while process.poll() is None:
            self.mind_children()
            time.sleep(0.05)
        if process.returncode:
            raise DemoError(f"{name} failed{f'; see {self.state / name}.log' if quiet else ''}.")

    def wait_until_up(self) -> None:
        """Wait until the web process answers. Raises `DemoError` after a minute."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            self.mind_children()
            try:
                with urllib.request.urlopen(f"{self.url}/healthz", timeout=2):  # noqa: S310 - our own address
                    return
            except OSError:
                time.sleep(0.1)
        raise DemoError(f"{self.url}/healthz does not answer; see {self.state / 'web.log'}.")

    def mind_children(self) -> None:
        """Restart the children that ended, each at most five times a minute, and the servers."""
        if self.servers.in_use and None in self.servers.running().values():
            say(f"A server ended and is started again; see {self.state}")
            self.servers.start()
        for child in self.children:
            now = time.monotonic()
            if child.process.poll() is not None and now - child.restarts[0] >= 60:
                child.restarts.append(now)
                log = self.state / f"{child.name}.log"
                say(f"{child.name} ended (exit status {child.process.returncode}) and is started again; see {log}")
                child.process = self._logged(child.name, child.command)

    def stop(self) -> None:
        """End all children, the last started first."""
        for pid in reversed(list(self._running)):
            end(pid, self._running[pid])
        (self.state / "demo.json").unlink(missing_ok=True)

    def _logged(self, name: str, command: Sequence[str]) -> subprocess.Popen[bytes]:
        with (self.state / f"{name}.log").open("ab") as log:
            return self._spawn(command, log)

    def _spawn(self, command: Sequence[str], output: IO[bytes] | None) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env=os.environ | self.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C in the terminal is for the launcher, which ends them in order
            preexec_fn=end_with_parent,
        )
        self._running = {pid: birth for pid, birth in self._running.items() if born(pid) == birth}
        self._running[process.pid] = born(process.pid)
        draft = self.state / "demo.json.new"
        draft.write_text(json.dumps({"url": self.url, "children": self._running}))
        draft.replace(self.state / "demo.json")
        return process


def end_with_parent() -> None:
    """Have the kernel end this process when its launcher is killed (Linux; elsewhere the next start does it)."""
    if sys.platform == "linux":
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def end(pid: int, birth: str) -> None:
    """End the process and its group, if it still is the one that was born then."""
    for ending in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + PATIENCE
        if born(pid) != birth:
            return
        with suppress(ProcessLookupError):
            os.killpg(pid, ending)
        while born(pid) == birth and time.monotonic() < deadline:
            time.sleep(0.05)


def say(line: str) -> None:
    """Tell the person at the terminal at once."""
    print(line, flush=True)


def only_one(state: Path) -> IO[bytes]:
    """The lock that the running demo holds. Raises `DemoError` when another holds it; ends what a killed one left."""
    lock = (state / "demo.lock").open("ab")
    note = state / "demo.json"
    left = json.loads(note.read_text()) if note.exists() else {}
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DemoError(f"A demo is running already: {left.get('url', 'it is just starting')}") from None
    for pid, birth in left.get("children", {}).items():
        end(int(pid), birth)
    note.unlink(missing_ok=True)
    return lock


def free_port(wanted: int) -> int:
    """The wanted port, or the next one that is free. Raises `DemoError` when a hundred are taken."""
    for port in range(wanted, min(wanted + 100, 65536)):
        with closing(socket.socket()) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port != wanted:
            say(f"Port {wanted} is taken: using {port}.")
        return port
    raise DemoError(f"No port is free from {wanted} on.")


def database_and_broker(servers: Servers) -> dict[str, str]:
    """The addresses of both, for the children: the embedded ones, or those of the environment."""
    if os.environ.get("DATABASE_URL") or os.environ.get("REDIS_URL"):
        if not (os.environ.get("DATABASE_URL") and os.environ.get("REDIS_URL")):
            raise DemoError("Set both DATABASE_URL and REDIS_URL, or neither.")
        say("Using DATABASE_URL and REDIS_URL.")
        return {}
    began = time.monotonic()
    ends = servers.start()
    took = time.monotonic() - began
    say(f"PostgreSQL {ends.postgres_version} · Valkey {ends.redis_version} ready ({took:.1f} s)")
    return {"DATABASE_URL": ends.database_url, "REDIS_URL": ends.redis_url}


def show(scale: str, wanted_port: int) -> NoReturn:
    """Start everything, fill it, and serve until interrupted."""
    began = time.monotonic()
    state = default_state().resolve()
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with only_one(state):
        servers = Servers(state)
        demo: Demo | None = None
        try:
            addresses = database_and_broker(servers)
            port = free_port(wanted_port)
            url = f"http://127.0.0.1:{port}"
            demo = Demo(servers, url, addresses | {"DEMO": "1", "DEBUG": "0", "BASE_URL": url})
            demo.run("prepare", PYTHON, "-c", PREPARE)
            gunicorn = ["gunicorn", "prakerja.wsgi", "--workers", "2", "--threads", "4", "--worker-class", "gthread"]
            demo.start("web", PYTHON, "-m", *gunicorn, "--bind", f"127.0.0.1:{port}")
            others = ",".join(queue for queue in QUEUES.split(",") if queue not in MONEY)
            demo.start("worker", *MANAGE, "worker", "--queues", others, "--name", "demo")
            beat = ["beat", "-s", str(state / "beat-schedule"), "--pidfile="]
            demo.start("beat", PYTHON, "-m", "celery", "-A", "prakerja", *beat)
            demo.wait_until_up()
            say(f"{url}/ is up ({time.monotonic() - began:.1f} s)")

            demo.run("simulate", *MANAGE, "simulate", "--scale", scale, "--workers", "0", "--if-empty", quiet=False)
            demo.start("money", *MANAGE, "worker", "--queues", ",".join(MONEY), "--name", "money")
            demo.run("wave", *MANAGE, "demo_wave")
            demo.run("funnel", *MANAGE, "funnel", quiet=False)
            say(
                f"\n  Registrants   {url}/\n"
                f"  Office        {url}/pmo/   petugas (or pemeriksa) / prakerja-demo\n"
                f"  Mock mailbox and phone   {url}/mock/\n\n"
                "Ctrl-C stops everything."
            )
            while True:
                demo.mind_children()
                time.sleep(0.5)
        finally:
            for interruption in INTERRUPTIONS:
                signal.signal(interruption, signal.SIG_IGN)
            if demo is not None:
                demo.stop()
            servers.release()


INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def interrupt(_number: int, _frame: FrameType | None) -> None:
    """Turn every signal to end into the one exception that the launcher unwinds by."""
    raise KeyboardInterrupt


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m prakerja.demo", description=__doc__)
    parser.add_argument("--scale", default="0.001", help="share of the 23 million registrants of 2020")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    for interruption in INTERRUPTIONS:
        signal.signal(interruption, interrupt)
    try:
        show(options.scale, options.port)
    except KeyboardInterrupt:
        say("\nStopped.")
    except (DemoError, EmbeddedError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
