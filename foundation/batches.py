"""Who works off which queue: a Celery worker, one batch after the other, and its supervisor when no worker comes.

A message says only that there may be work: what is to be done, PostgreSQL knows. Every task is safe to run twice, or twice at
once, and a message that is lost is made up by the sweeper.
"""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from tempfile import TemporaryFile
from typing import IO

from celery import shared_task

from foundation.hints import send_hint

Batch = Callable[[], int]

#: A task gives its worker free after so many seconds, so that no queue keeps the others waiting.
SECONDS = 5
#: When as many processes as may be are at work in a queue, another comes by again after so many seconds.
ASK_AGAIN = 1

#: One batch of each queue, and how many items were in hand: what a worker does until nothing is due.
BATCHES: dict[str, Batch] = {}

#: In a worker: the file whose locked bytes say how many of its processes are at work in each queue, and how many may be.
_seats: tuple[IO[bytes], int] | None = None


def share_out(processes: int, *, queues: int) -> None:
    """Of a worker's processes, which are not forked yet, leave one to each of its other queues, though the service of one hangs."""
    global _seats
    _seats = TemporaryFile(), max(1, processes - queues + 1)  # noqa: SIM115 - for as long as the worker lives


@contextmanager
def _seat(number: int) -> Iterator[bool]:
    """Whether one more process may work in the queue of this number now. A process that is killed gives its seat free."""
    if _seats is None:
        yield True
        return
    file, share = _seats
    for seat in range(number * share, (number + 1) * share):
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, seat)
        except BlockingIOError:
            continue
        try:
            yield True
        finally:
            fcntl.lockf(file, fcntl.LOCK_UN, 1, seat)
        return
    yield False


def works_off(queue: str) -> Callable[[Batch], Batch]:
    """Make a function that works off one batch of `queue`, and returns how many items were in hand, the queue's Celery task."""

    def register(batch: Batch) -> Batch:
        number = len(BATCHES)
        BATCHES[queue] = batch

        @wraps(batch)
        def until_nothing_is_due() -> None:
            with _seat(number) as seated:
                end = time.monotonic() + SECONDS
                while seated and time.monotonic() < end:
                    if not batch():
                        return
            send_hint(queue, after=0 if seated else ASK_AGAIN)

        shared_task(name=f"work.{queue}")(until_nothing_is_due)
        return batch

    return register
