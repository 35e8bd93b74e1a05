"""Add the catalogue."""

from typing import Any

from django.core.management.base import BaseCommand
from django.utils.translation import gettext as _

from trainings import catalogue


class Command(BaseCommand):
    help = "Add the platforms of 2020 and made-up providers and trainings; what is there already stays as it is."

    def handle(self, *args: Any, **options: Any) -> None:
        added = catalogue.load()
        self.stdout.write(
            _("Added %(partners)s partners and %(trainings)s trainings")
            % {"partners": added.partners, "trainings": added.trainings}
        )
