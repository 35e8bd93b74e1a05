"""The demo's staff logins."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from prakerja import walk


class Command(BaseCommand):
    help = "Create the demo's staff users, petugas and pemeriksa; not in production."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEMO:
            raise CommandError("This is not a demo: create staff with createsuperuser.")
        walk.clerks()
