"""What a person costs: processor time of each act of the chain, from sign-up to verified phone, Python's and PostgreSQL's apart.

One process does all of it, as `manage.py simulate --workers 1` does, with PostgreSQL's one backend for it. It is processor time
as the kernel counts it, not wall time: what else the machine does meanwhile hardly matters. Python's start is left out; making
people up, the mock services and the inhabitants are in. What other processes of PostgreSQL do (write out, vacuum, take statistics),
and the checkpoint at the end, is `rest`.
"""

import os
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from multiprocessing import get_context
from pathlib import Path

import django
from django.db import connection

from benchmarks.clock import checkpoint
from foundation.processes import for_batches
from foundation.work import outstanding
from prakerja.management.commands.simulate import BATCH
from prakerja.simulation import drive, programme
from registrations import funnel


def measure(people: int) -> dict[str, float]:
    """Microseconds for each of so many people, who are forgotten."""
    # In a process of its own, which is made one that works in batches.
    with ProcessPoolExecutor(1, get_context("spawn"), django.setup) as process:
        seconds = process.submit(_run, people).result()
    return {"cpu_people": people} | {f"cpu_{name}_us": 1e6 * each / people for name, each in seconds.items()}


def _run(people: int) -> dict[str, float]:
    """Seconds of processor time: of each act in Python and in PostgreSQL, and of all of them."""
    drive.forget_everything()
    scale = Fraction(people, programme.REGISTERED)
    simulation = drive.begin(programme.plan_registrants(people), scale=scale, seed=1, batch=BATCH)
    acts = simulation.acts(batch=BATCH, pipeline=True)
    for_batches()
    backend, server = _backend()
    spent: defaultdict[str, float] = defaultdict(float)

    def metered(name: str, act: Callable[[], int]) -> int:
        python, postgres = time.process_time(), _on_cpu(backend)
        found = act()
        spent[f"{name}_python"] += time.process_time() - python
        spent[f"{name}_postgres"] += _on_cpu(backend) - postgres
        return found

    checkpoint()
    python, postgres, folded = time.process_time(), _of_all(server), time.monotonic()
    while outstanding(drive.QUEUES):
        if not any(metered(name, act) for name, act in acts.items()):
            time.sleep(0.05)
        if time.monotonic() - folded > drive.TICK:
            metered("fold", funnel.fold)
            folded = time.monotonic()
    metered("fold", funnel.fold)
    checkpoint()
    python, postgres = time.process_time() - python, _of_all(server) - postgres
    backends = sum(seconds for name, seconds in spent.items() if name.endswith("_postgres"))
    drive.forget_everything()
    return {**spent, "rest_postgres": postgres - backends, "python": python, "postgres": postgres}


def _backend() -> tuple[int, int]:
    """The process that serves our connection, and its parent, which has started all of PostgreSQL's."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        [backend] = cursor.fetchone()
    return backend, int(_stat(backend)[1])


def _on_cpu(pid: int) -> float:
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def _of_all(server: int) -> float:
    """Of the server and all that it has started, also of what has ended since."""
    ticks = sum(map(int, _stat(server)[11:15]))
    for folder in Path("/proc").glob("[0-9]*"):
        stat = _stat(int(folder.name))
        if stat and int(stat[1]) == server:
            ticks += int(stat[11]) + int(stat[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    """The fields of `stat` from the third on; none when the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
