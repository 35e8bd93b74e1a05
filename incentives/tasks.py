"""What the incentives' workers do: a queue for each payer, so that a slow one holds up no other; each task is safe to run twice."""

import time

from celery import shared_task
from django.conf import settings

from foundation import pg, services
from foundation.batches import SECONDS, works_off
from incentives import checking, gating, hearing, ledger, notices, obligations, sending
from incentives.payers import PAYERS, check_queue, queue, service


def _register(code: str) -> None:
    @works_off(check_queue(code))
    def check_accounts() -> int:
        return checking.check_batch(code, payer=services.get(service(code)), size=settings.BATCH_SIZE)

    @works_off(queue(code))
    def send_payouts() -> int:
        return sending.send_batch(code, payer=services.get(service(code)), size=settings.BATCH_SIZE)


#: What payers tell by webhook is applied by whoever works off the inbox.
HEARD = (hearing.settle, hearing.check)

for _code in PAYERS:
    _register(_code)


@works_off("obligations")
def open_obligations() -> int:
    """Open the incentives of people who have completed their first training."""
    return obligations.open_batch(size=settings.BATCH_SIZE)


@works_off("gates")
def refresh_gates() -> int:
    """Look again at people of whom a certificate or a review has come."""
    return gating.refresh_batch(size=settings.BATCH_SIZE)


@works_off("account_notices")
def send_texts() -> int:
    """Send short texts about accounts."""
    return notices.send_texts(sms=services.get("sms"), size=settings.BATCH_SIZE)


@shared_task(name="incentives.fold")
def fold() -> None:
    """Fold the books."""
    ledger.fold()


@shared_task(name="incentives.recheck")
def recheck() -> None:
    """Have payers asked again about accounts before these are paid into: some seconds' worth, and the rest the next time."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and checking.recheck(at=pg.now(), size=settings.BATCH_SIZE):
        pass
