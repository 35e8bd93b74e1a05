"""Take in a list of people that somebody has provided."""

import os
import sys
from argparse import ArgumentParser
from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from tqdm import tqdm

from foundation.csvfile import BadFile
from waves import lists
from waves.models import ListKind


class Command(BaseCommand):
    help = (
        "Take in a list of people (CSV with the one column nik), in place of the one of its kind that was there. Only digests "
        "are kept. Lines that hold no NIK are left out and named; it then exits with 1, and with 2 when nothing was taken."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("kind", choices=ListKind.values)
        parser.add_argument("file", type=Path, metavar="FILE.csv")
        parser.add_argument("--provider", required=True, help="who has provided it")
        parser.add_argument(
            "--dated", type=date.fromisoformat, required=True, metavar="YYYY-MM-DD", help="of which day it is"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["file"]
        size = os.path.getsize(path) if path.is_file() else 0
        with tqdm(total=size, unit="B", unit_scale=True, file=sys.stderr, mininterval=0.5, disable=None) as bar:
            try:
                found = lists.import_list(
                    ListKind(options["kind"]),
                    path,
                    provider=options["provider"],
                    dated=options["dated"],
                    progress=bar.update,
                )
            except BadFile as error:
                raise CommandError(str(error), returncode=2) from error
        self._say(_("People on the list: %(count)s"), found.people)
        self._say(_("Twice in the file; counted once: %(count)s"), found.doubled)
        if found.wrong:
            self._say(_("Lines without a NIK (16 digits); left out: %(count)s"), found.wrong)
            lines = ", ".join(map(str, found.wrong_lines)) + (", ..." if found.wrong > len(found.wrong_lines) else "")
            self.stderr.write(_("Lines: %(lines)s") % {"lines": lines})
            raise SystemExit(1)

    def _say(self, text: str, count: int) -> None:
        self.stdout.write(text % {"count": number_format(count, force_grouping=True)})
