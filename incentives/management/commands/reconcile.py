"""`manage.py reconcile bni statement.csv`: hold a payer's daily file against the books."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from foundation import pg
from foundation.csvfile import BadFile
from incentives import reconciliation
from incentives.models import Leftover
from incentives.payers import PAYERS


class Command(BaseCommand):
    help = "Take a payer's daily file as a whole, or not at all, and list what it and our books say differently."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("payer", choices=sorted(PAYERS))
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["file"]
        try:
            content = path.read_bytes()
            taken = reconciliation.take(options["payer"], content, file=path.name, at=pg.now())
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}") from None
        except BadFile as fault:
            raise CommandError(f"{fault} Nothing was taken.") from None
        self.stdout.write(f"{taken}: {taken.lines} lines, Rp{taken.rupiah:,}")
        left = Leftover.objects.filter(file=taken, settled_at=None)
        for leftover in left:
            kind = Leftover.Kind(leftover.kind)
            self.stdout.write(f"  {leftover.obligation_id}-{leftover.attempt}  {kind.label}: {leftover.next_step}")
        self.stdout.write("Nothing is left over." if not left else f"{len(left)} left over.")
