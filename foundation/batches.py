"""Who works off which queue: a Celery worker, one batch after the other, and its supervisor when no worker comes.

A message says only that there may be work: what is to be done, PostgreSQL knows. Every task is safe to run twice, or twice at
once, and a message that is lost is made up by the sweeper.
"""

import time
from collections.abc import Callable
from functools import wraps

from celery import shared_task

from foundation.hints import send_hint

Batch = Callable[[], int]

#: A task gives its worker free after so many seconds, so that no queue keeps the others waiting.
SECONDS = 5

#: One batch of each queue, and how many items were in hand: what a worker does until nothing is due.
BATCHES: dict[str, Batch] = {}


def works_off(queue: str) -> Callable[[Batch], Batch]:
    """Make a function that works off one batch of `queue`, and returns how many items were in hand, the queue's Celery task."""

    def register(batch: Batch) -> Batch:
        BATCHES[queue] = batch

        @wraps(batch)
        def until_nothing_is_due() -> None:
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                if not batch():
                    return
            send_hint(queue)

        shared_task(name=f"work.{queue}")(until_nothing_is_due)
        return batch

    return register
