"""Prove the funnel: count everything anew from the people."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from registrations import funnel


class Command(BaseCommand):
    help = "Count every cell of the funnel anew from the people; exit with 1 and show the cells where the ledger differs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        result = funnel.recount()
        if options["json"]:
            cells = [cell._asdict() for cell in result.differences]
            self.stdout.write(json.dumps({**result._asdict(), "differences": cells}, default=str, indent=2))
        elif result.differences:
            for cell in result.differences:
                self.stdout.write(" ".join(f"{name}={value}" for name, value in cell._asdict().items()))
        else:
            self.stdout.write(f"The ledger agrees with the people: {result.registrants} registrants, {result.cells} cells.")
        if result.differences:
            raise SystemExit(1)
