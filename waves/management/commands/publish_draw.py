"""Write the files of a published draw."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from waves import publishing
from waves.models import Draw
from waves.screening import NotNow


class Command(BaseCommand):
    help = (
        "Write the files of a published draw (docs/draw.md), which tools/verify_draw.py and anybody's own checker run again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--wave", type=int, required=True)
        parser.add_argument(
            "--attempt", type=int, help="an earlier draw of the wave, that was annulled (default: the last one)"
        )
        parser.add_argument("--to", type=Path, required=True, metavar="DIR")

    def handle(self, *args: Any, **options: Any) -> None:
        draws = Draw.objects.filter(wave=options["wave"])
        if options["attempt"]:
            draws = draws.filter(attempt=options["attempt"])
        draw = draws.last()
        if draw is None:
            raise CommandError(_("There is no such draw."))
        try:
            for path in publishing.write(draw, options["to"]):
                self.stdout.write(str(path))
        except NotNow as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"{options['to']}: {error.strerror}") from error
