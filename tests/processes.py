"""Processes of the project that a test starts itself, on the test's own database and broker, and ends by their ids."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from prakerja.demo import QUEUES
from tests.conftest import ROOT, project_environment


@contextmanager
def running(*arguments: str, log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the project, in a group of its own, gone at the end whatever happens."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=project_environment() | environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        kill(process)


def output_of(program: str, *arguments: str, **environment: str) -> str:
    """What a Python program prints, run to its end in a process of its own."""
    command = [sys.executable, "-c", program, *arguments]
    env = project_environment() | environment
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill -9 a process that we started, and its children."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


def worker_arguments(name: str, *options: str) -> list[str]:
    return [
        "-m",
        "celery",
        "-A",
        "prakerja",
        "worker",
        "-Q",
        QUEUES,
        "-c",
        "2",
        "-n",
        f"{name}@%h",
        "-l",
        "WARNING",
        *options,
    ]


def wait_until(condition: Callable[[], bool], *, seconds: float, what: str) -> float:
    """Seconds until the condition holds; fails after so many."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > seconds:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.1)
    return time.monotonic() - start


def children_of(parent: int) -> list[int]:
    listed = subprocess.run(["ps", "-A", "-o", "pid=", "-o", "ppid="], capture_output=True, text=True, check=True)
    return [int(pid) for pid, above in map(str.split, listed.stdout.splitlines()) if int(above) == parent]


def gone(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    return not state or state.startswith("Z")
