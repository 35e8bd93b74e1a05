"""The demo's staff logins."""

from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

#: Two people: steps of a draw take two.
STAFF = ("petugas", "pemeriksa")


class Command(BaseCommand):
    help = "Create the demo's staff users, petugas and pemeriksa; not in production."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEMO:
            raise CommandError("This is not a demo: create staff with createsuperuser.")
        User = get_user_model()
        for name in STAFF:
            if not User.objects.filter(username=name).exists():
                User.objects.create_user(name, password="prakerja-demo", is_staff=True)
