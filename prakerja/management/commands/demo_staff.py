"""The demo's staff login."""

from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    help = "Create the demo's staff user, petugas; not in production."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEMO:
            raise CommandError("This is not a demo: create staff with createsuperuser.")
        User = get_user_model()
        if not User.objects.filter(username="petugas").exists():
            User.objects.create_user("petugas", password="prakerja-demo", is_staff=True)
