"""Write the list of a decree."""

import hashlib
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from waves import decrees
from waves.models import Decree


class Command(BaseCommand):
    help = "Write the list of a decree, which holds names, as it was hashed and signed. Exits with 1 when it is not as it was signed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("decree", metavar="NUMBER/YEAR")
        parser.add_argument("--to", type=Path, required=True, metavar="FILE.csv")

    def handle(self, *args: Any, **options: Any) -> None:
        number, _slash, year = options["decree"].partition("/")
        decree = None
        if number.isdecimal() and year.isdecimal():
            decree = Decree.objects.filter(number=int(number), year=int(year)).first()
        if decree is None:
            raise CommandError(_("There is no such decree."))
        if found := decrees.faults(decree):
            raise CommandError(", ".join(found))
        try:
            with options["to"].open("xb") as file:
                file.writelines(decrees.lines(decree))
        except FileExistsError:
            raise CommandError(_("There is a file %(path)s already: name a new one.") % {"path": options["to"]}) from None
        except OSError as error:
            raise CommandError(f"{options['to']}: {error.strerror}") from error
        with options["to"].open("rb") as file:
            self.stdout.write(hashlib.file_digest(file, "sha256").hexdigest())
