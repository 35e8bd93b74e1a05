"""A wave that is open now, for whoever plays with the demo."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from registrations.models import Wave
from waves import programme, state
from waves.models import Plan


class Command(BaseCommand):
    help = "Open the next wave now, for three days, if none is open; not in production."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEMO:
            raise CommandError("This is not a demo: plan waves in the office.")
        now = timezone.now()
        if state.open_wave(now):
            return
        programme.load_rule_sets()
        # One without dates waits to be opened, with those who have registered meanwhile.
        waiting = Wave.objects.filter(closes_at=None).first()
        last = Wave.objects.order_by("number").last()
        wave = waiting or Wave(number=last.number + 1 if last else 1)
        wave.opens_at, wave.closes_at, wave.quota = now, now + timedelta(days=3), 1000
        wave.save()
        Plan.objects.get_or_create(wave=wave, defaults={"rule_set_id": "2021-03", "sources": "demo"})
