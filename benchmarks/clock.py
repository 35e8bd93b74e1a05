"""How long something takes, and how much memory and room."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from django.db import connection


def seconds(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def room() -> int:
    """Bytes of the database, everything in it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        return int(cursor.fetchone()[0])


def checkpoint() -> None:
    """Nothing that was done before is left to be written out beside what is measured."""
    with connection.cursor() as cursor:
        cursor.execute("CHECKPOINT")


def settle() -> None:
    """What was done before leaves nothing to do beside what is measured: no vacuum, no statistics, nothing to write out."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    checkpoint()


class Watched(NamedTuple):
    seconds: float
    #: The most memory (MiB) of each process, the command's own and those that it has started.
    memory: list[float]


def watched(*command: str, **environment: str) -> Watched:
    """Run a command of `manage.py` to its end. Raises `SystemExit` when it fails."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "manage.py", *command],
        start_new_session=True,
        env=os.environ | environment | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    peaks: dict[int, float] = {}
    try:
        while process.poll() is None:
            peaks |= {pid: max(peak, peaks.get(pid, 0)) for pid, peak in memory(process.pid).items()}
            time.sleep(0.2)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    wall = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(f"{command[0]} failed")
    return Watched(wall, [peak for peak in peaks.values() if peak])


def memory(leader: int) -> dict[int, float]:
    """The most memory (MiB) so far of a process that leads a session, and of each that it has started and that is there."""
    return {pid: _peak(pid) for pid in _session(leader)}


def _session(leader: int) -> list[int]:
    """The processes that the command has started, and itself."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if int((folder / "stat").read_text().rpartition(")")[2].split()[3]) == leader:  # its session
                found.append(int(folder.name))
        except (OSError, IndexError):
            continue
    return found


def _peak(pid: int) -> float:
    """The most memory that a process has had, in MiB; 0 when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0)
