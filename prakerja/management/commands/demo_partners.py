"""What the demo sells, and keys with which partners' programs can be tried."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from prakerja import credentials


class Command(BaseCommand):
    help = "Load the catalogue, and give three partners the demo's credentials; not in production."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEMO:
            raise CommandError(
                "This is not a demo: load_trainings loads the catalogue, add_partner and add_client make keys."
            )
        credentials.load()
