"""A wave that is open now, and accounts that were looked at today, for whoever plays with the demo."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from incentives.tasks import recheck
from prakerja import walk


class Command(BaseCommand):
    help = "Open the next wave now, for three days, if none is open or planned, and look at old accounts; not in production."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEMO:
            raise CommandError("This is not a demo: plan waves in the office.")
        walk.open_next_wave(timezone.now())
        # The simulation's were looked at in 2020: beat would come by in ten minutes only.
        recheck()
