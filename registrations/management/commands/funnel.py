"""Show the funnel in the terminal."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from registrations import asking, funnel


class Command(BaseCommand):
    help = "How many people stand on each rung, and why the others do not."

    def add_arguments(self, parser: ArgumentParser) -> None:
        waves = parser.add_mutually_exclusive_group()
        waves.add_argument("--wave", metavar="N", help="only those who registered in wave N")
        waves.add_argument("--until-wave", metavar="N", help="those who registered in waves 1 to N")
        parser.add_argument(
            "--as-of",
            metavar="ISO",
            help="all that had happened before this full hour; without a zone, WIB; a day means its end",
        )
        parser.add_argument("--json", action="store_true", help="as JSON, the same as the API gives")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            view = asking.view_of(options)
        except asking.BadView as error:
            raise CommandError(error.message) from error
        found = funnel.read(view)
        if options["json"]:
            self.stdout.write(json.dumps(funnel.as_json(found), indent=2))
            return
        self.stdout.write(_title(view))
        for rung in found.rungs:
            above = "" if rung.share_of_above is None else f"{rung.share_of_above:>8.1%} of the rung above"
            self.stdout.write(f"  {rung.stage.label!s:<20} {rung.people:>12,}{above}".replace(",", "."))
            for entry in rung.lost:
                self.stdout.write(f"      {entry.reason.label!s:<44} {entry.people:>12,}".replace(",", "."))
            if rung.waiting:
                self.stdout.write(f"      {rung.stage.waiting:<44} {rung.waiting:>12,}".replace(",", "."))


def _title(view: funnel.View) -> str:
    whom = "All registrants"
    if view.wave is not None:
        whom = f"Registrants of wave {view.wave}"
    elif view.until_wave is not None:
        whom = f"Registrants of waves 1 to {view.until_wave}"
    return f"{whom}, as of {view.as_of:%d %b %Y %H.%M} WIB" if view.as_of else f"{whom}, now"
