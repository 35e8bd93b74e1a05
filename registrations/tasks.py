"""Housekeeping of the funnel and the sign-up. Safe to run at any time, twice, or not at all for a while."""

from celery import shared_task
from django.utils import timezone

from registrations import drafts, funnel


@shared_task(name="funnel.fold")
def fold() -> None:
    """Fold the funnel's raw movements, so that reading it stays fast."""
    funnel.fold()


@shared_task(name="drafts.forget")
def forget_drafts() -> None:
    """Delete sign-ups that were given up."""
    drafts.forget(timezone.now())
