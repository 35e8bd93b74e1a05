"""The memory of a Celery worker, as `manage.py worker` runs it, with its supervisor: after few people, and after many more."""

import os
import subprocess
import sys

from benchmarks.clock import memory, watched

FEW = 20_000
QUEUES = "email,identity,phone"


def measure(people: int) -> dict[str, float]:
    """The most memory (MiB) so far of one of its processes, after `FEW` and after so many more; and then of all of them together.

    The worker does the pipeline's work; who sign up and open their mail do so in processes of their own.
    """
    worker = subprocess.Popen(
        [sys.executable, "manage.py", "worker", "--queues", QUEUES, "--name", "measured"],
        start_new_session=True,
        env=os.environ | {"HINTS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        few, many = (_after(worker, each) for each in (min(people, FEW), people))
    finally:
        worker.terminate()
        worker.wait(60)
    return {"celery_few_rss_mb": max(few), "celery_rss_mb": max(many), "celery_all_rss_mb": sum(many)}


def _after(worker: "subprocess.Popen[bytes]", people: int) -> list[float]:
    options = ("--reset", "--seed", "1", "--workers", "0", "--without-draws")
    watched("simulate", "--registrants", str(people), *options, HINTS="1")
    return list(memory(worker.pid).values())
