"""What the waves' workers do by themselves: each task is safe to run twice, or twice at once."""

import time

from celery import shared_task
from django.conf import settings

from foundation import pg, services
from foundation.batches import SECONDS, works_off
from waves import acts, notices, publishing, revocation

#: A freeze, a draw or the files of twelve million tickets take minutes.
LONGEST = 1800


@shared_task(name="draws.carry_out", time_limit=LONGEST)
def carry_out() -> None:
    """Draw where the announced round is out, and do the steps that have been confirmed."""
    beacon = services.get("randomness")
    # First: what comes out is published even if the draw is annulled now. By the clock by which people have joined.
    acts.reveal(beacon=beacon, at=pg.now())
    acts.carry_out_waiting(beacon=beacon, clock=pg.now)


@shared_task(name="draws.write", time_limit=LONGEST)
def write_draws() -> None:
    """Write the files of draws that have been published and not been written yet."""
    publishing.write_missing()


@works_off("notice_email")
def send_emails() -> int:
    """Mail what many are told at once."""
    return notices.send_emails(email=services.get("email"), size=settings.BATCH_SIZE)


@works_off("notice_sms")
def send_texts() -> int:
    """Send what many are told at once by SMS."""
    return notices.send_texts(sms=services.get("sms"), size=settings.BATCH_SIZE)


@shared_task(name="recipients.warn", time_limit=LONGEST)
def warn() -> None:
    """Warn who has still bought no training."""
    revocation.warn(at=pg.now())


@shared_task(name="recipients.revoke")
def revoke() -> None:
    """Revoke whose time is over, by the database's clock: some seconds' worth, and the rest the next time."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and revocation.revoke(at=pg.now()):
        pass
