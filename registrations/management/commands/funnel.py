"""Show the funnel in the terminal."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from registrations import asking, funnel


class Command(BaseCommand):
    help = "How many people stand on each rung, and why the others do not."

    def add_arguments(self, parser: ArgumentParser) -> None:
        waves = parser.add_mutually_exclusive_group()
        waves.add_argument("--wave", metavar="N", help="only those who registered in wave N")
        waves.add_argument("--until-wave", metavar="N", help="those who registered in waves 1 to N")
        waves.add_argument("--selected-wave", metavar="N", help="only those whom wave N selected")
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
            above = (
                ""
                if rung.share_of_above is None
                else _("%(share)s of the rung before") % {"share": _percent(rung.share_of_above)}
            )
            self.stdout.write(f"  {_line(str(rung.stage.label), rung.people, indent=0)}   {above}".rstrip())
            for entry in rung.lost:
                self.stdout.write(f"      {_line(str(entry.reason.label), entry.people, indent=4)}")
            if rung.waiting:
                self.stdout.write(f"      {_line(rung.stage.waiting, rung.waiting, indent=4)}")


def _line(label: str, people: int, *, indent: int) -> str:
    return f"{label:<{50 - indent}} {number_format(people, force_grouping=True):>12}"


def _percent(share: float) -> str:
    # Rounded here: number_format cuts off.
    return f"{number_format(round(100 * share, 1), decimal_pos=1)} %"


def _title(view: funnel.View) -> str:
    whom = _("All registrants")
    if view.wave is not None:
        whom = _("Registrants of wave %(number)s") % {"number": view.wave}
    elif view.until_wave is not None:
        whom = _("Registrants of waves 1 to %(number)s") % {"number": view.until_wave}
    elif view.selected_wave is not None:
        whom = _("Those whom wave %(number)s selected") % {"number": view.selected_wave}
    when = _("as of %(moment)s WIB") % {"moment": f"{view.as_of:%Y-%m-%d %H:%M}"} if view.as_of else _("now")
    return f"{whom}, {when}"
