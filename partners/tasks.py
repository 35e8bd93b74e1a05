"""What workers do for partners, a queue each."""

from celery import shared_task
from django.conf import settings

from foundation.batches import works_off
from partners import delivery, inbox, tokens, webhooks


@works_off(webhooks.QUEUE)
def deliver() -> int:
    """Tell partners of events."""
    return delivery.send_batch(size=delivery.BATCH)


@works_off(inbox.QUEUE)
def apply_messages() -> int:
    """Apply what partners have told us."""
    return inbox.apply_batch(size=settings.BATCH_SIZE)


@shared_task(name="tokens.forget")
def forget_tokens() -> None:
    """Delete tokens that have expired."""
    tokens.forget()
