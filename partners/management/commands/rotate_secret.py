"""A new secret between a partner and us: `manage.py rotate_secret bni in`."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from partners import keys
from partners.models import Partner, Secret


class Command(BaseCommand):
    help = "Draw a new secret, shown once; the one before it stays good until the next time."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("code", help="the partner's")
        uses = "; ".join(f"{use}: {use.label}" for use in Secret.Use)
        parser.add_argument("use", choices=[use.value for use in Secret.Use], help=uses)

    def handle(self, *args: Any, **options: Any) -> None:
        if not Partner.objects.filter(pk=options["code"]).exists():
            raise CommandError(f"There is no partner {options['code']}: see add_partner.")
        self.stdout.write(keys.rotate(options["code"], Secret.Use(options["use"])))
