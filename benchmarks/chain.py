"""(a) The whole chain, from sign-up to verified phone, as `manage.py simulate` runs it: sealing and mock services included."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from django.db import connection

from benchmarks.clock import seconds
from prakerja.simulation import programme
from prakerja.simulation.population import Population

SMALL = 500_000
SAMPLE = 200_000


def generator() -> dict[str, float]:
    """How fast people are made up, on one core."""
    population = Population(1, programme.plan_registrants(SAMPLE))
    return {"generator_per_s": SAMPLE / seconds(lambda: sum(1 for _ in population.people()))}


def measure(people: int) -> dict[str, float]:
    """So many people, after a smaller run for comparison; leaves them in the database."""
    figures: dict[str, float] = {}
    if people > SMALL:
        figures["pipeline_at_500k_per_s"] = SMALL / simulate(SMALL)[0]
    wall, memory = simulate(people)
    return figures | {
        "pipeline_per_s": people / wall,
        "pipeline_s": wall,
        "worker_rss_mb": max(memory),
        "all_python_rss_mb": sum(memory),
    }


def simulate(people: int) -> tuple[float, list[float]]:
    """Seconds that the command takes, start and report included, and the most memory (MiB) of each of its processes."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "manage.py", "simulate", "--registrants", str(people), "--reset", "--seed", "1"],
        start_new_session=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    peaks: dict[int, float] = {}
    try:
        while process.poll() is None:
            peaks |= {pid: _peak(pid) for pid in _group(process.pid)}
            time.sleep(0.2)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    wall = time.perf_counter() - start
    if process.returncode:
        raise SystemExit("the simulation failed")
    return wall, [peak for peak in peaks.values() if peak]


def _group(leader: int) -> list[int]:
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


def settle() -> None:
    """Leave nothing for the next part to pay for."""
    with connection.cursor() as cursor:
        cursor.execute("CHECKPOINT")
