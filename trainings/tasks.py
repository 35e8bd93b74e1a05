"""What workers do about the balances by themselves: safe to run twice, or twice at once."""

import time

from celery import shared_task

from foundation import pg
from foundation.batches import SECONDS
from trainings import returning


@shared_task(name="balances.return")
def give_back() -> None:
    """Book back what was not spent in time, by the database's clock: some seconds' worth, and the rest the next time."""
    end, last = time.monotonic() + SECONDS, 0
    while time.monotonic() < end and (last := returning.give_back(at=pg.now(), after=last)):
        pass
