"""Add the waves of 2020."""

from typing import Any

from django.core.management.base import BaseCommand
from django.utils.translation import gettext as _

from waves import programme


class Command(BaseCommand):
    help = "Add waves 1 to 11 of 2020 and the rule sets in force, with their sources; what is there already stays as it is."

    def handle(self, *args: Any, **options: Any) -> None:
        added = programme.load_waves()
        numbers = ", ".join(map(str, added)) or _("none")
        self.stdout.write(_("Added waves: %(numbers)s") % {"numbers": numbers})
