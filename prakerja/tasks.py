"""What takes apps to do that know nothing of each other; each task is safe to run twice, or twice at once."""

import time

from celery import shared_task

from foundation import pg
from foundation.batches import SECONDS
from incentives import changing
from verification import codes


@shared_task(name="incentives.changes")
def take_effect() -> None:
    """Changes whose waiting time is over, by the database's clock: some seconds' worth, and the rest the next time."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and changing.take_effect(at=pg.now(), void=codes.void):
        pass
