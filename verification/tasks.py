"""The pipeline's Celery tasks, a queue each, so that a slow service holds up no other.

A message says only that there may be work: what is to be done, PostgreSQL knows. Every task is safe to run twice, or twice at
once, and a message that is lost is made up by the sweeper.
"""

import time
from collections.abc import Callable

from celery import shared_task
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from foundation import outbox, services, work
from foundation.hints import send_hint
from verification import identity, links, phone, signin

#: A task gives its worker free after so many seconds, so that no queue keeps the others waiting.
SECONDS = 5

SWEEP_LOCK = 0x53574550  # "SWEP"


#: One batch of each queue, and how many items were in hand: what a worker does until nothing is due, and what its supervisor
#: does when no worker comes.
BATCHES: dict[str, Callable[[], int]] = {
    "email": lambda: links.send_batch(email=services.get("email"), size=settings.BATCH_SIZE),
    "identity": lambda: identity.check_batch(dukcapil=services.get("dukcapil"), size=settings.BATCH_SIZE),
    "phone": lambda: phone.send_batch(sms=services.get("sms"), size=settings.BATCH_SIZE),
    "messages": lambda: outbox.send_batch(email=services.get("email"), size=settings.BATCH_SIZE),
}


def _work_off(queue: str) -> None:
    """Batches until nothing is due; after a while, somebody else may go on."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if not BATCHES[queue]():
            return
    send_hint(queue)


@shared_task(name="work.email", queue="email")
def send_links() -> None:
    """Mail their link to new registrants."""
    _work_off("email")


@shared_task(name="work.identity", queue="identity")
def check_identities() -> None:
    """Ask Dukcapil about people whose e-mail is verified."""
    _work_off("identity")


@shared_task(name="work.phone", queue="phone")
def send_codes() -> None:
    """Send a one-time code to people whose identity is verified."""
    _work_off("phone")


@shared_task(name="work.messages", queue="messages")
def send_messages() -> None:
    """Send mails that have been posted to single people."""
    _work_off("messages")


@shared_task(name="work.sweep")
def sweep() -> None:
    """Wake workers for whatever is due: lost hints, dead workers' leases. Two sweepers at once are one too many, not harmful."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [SWEEP_LOCK])
        if cursor.fetchone()[0]:
            work.sweep()


@shared_task(name="sign_in_links.forget")
def forget_links() -> None:
    """Delete sign-in links that are past use."""
    signin.forget(timezone.now())
