"""What the waves' workers do by themselves: each task is safe to run twice, or twice at once."""

from celery import shared_task
from django.utils import timezone

from foundation import services
from waves import acts, publishing

#: A freeze, a draw or the files of twelve million tickets take minutes.
LONGEST = 1800


@shared_task(name="draws.carry_out", time_limit=LONGEST)
def carry_out() -> None:
    """Do the steps that have been confirmed, and draw where the announced round is out."""
    beacon = services.get("randomness")
    acts.carry_out_waiting(beacon=beacon, at=timezone.now())
    acts.reveal(beacon=beacon, at=timezone.now())


@shared_task(name="draws.write", time_limit=LONGEST)
def write_draws() -> None:
    """Write the files of draws that have been published and not been written yet."""
    publishing.write_missing()
