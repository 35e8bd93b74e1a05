"""The pipeline's Celery tasks, a queue each, so that a slow service holds up no other."""

from celery import shared_task
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from foundation import outbox, services, work
from foundation.batches import works_off
from verification import identity, links, phone, signin

SWEEP_LOCK = 0x53574550  # "SWEP"


@works_off("email")
def send_links() -> int:
    """Mail their link to new registrants."""
    return links.send_batch(email=services.get("email"), size=settings.BATCH_SIZE)


@works_off("identity")
def check_identities() -> int:
    """Ask Dukcapil about people whose e-mail is verified."""
    return identity.check_batch(dukcapil=services.get("dukcapil"), size=settings.BATCH_SIZE)


@works_off("phone")
def send_codes() -> int:
    """Send a one-time code to people whose identity is verified."""
    return phone.send_batch(sms=services.get("sms"), size=settings.BATCH_SIZE)


@works_off("messages")
def send_messages() -> int:
    """Send mails that have been posted to single people."""
    return outbox.send_batch(email=services.get("email"), size=settings.BATCH_SIZE)


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
