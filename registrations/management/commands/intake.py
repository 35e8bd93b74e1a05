"""Register the people of a CSV file."""

import csv
import os
import secrets
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import psycopg2
from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseTrouble
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from tqdm import tqdm

from foundation import csvfile
from foundation.checks import PRODUCTION
from foundation.processes import in_order
from registrations import bulk, rows

#: So many faults are shown in the terminal when no file is named for them.
SHOWN = 20
#: The exit code when a file cannot be taken, or the intake stops before its end.
NOT_TAKEN = 2


def _workers(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= 64:
        raise ArgumentTypeError("a number of workers is a whole number from 1 to 64")
    return int(text)


class Command(BaseCommand):
    help = (
        "Register the people of a CSV file, as a ministry or a labour office hands it in; docs/intake.md describes it. "
        "Safe to run again. Exits with 0 when every row is right, 1 when some are wrong, 2 when the file is not taken."
    )
    #: Looking at all pages, too, would take as long as 30,000 people do.
    requires_system_checks = (PRODUCTION,)

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("file", nargs="?", type=Path, metavar="FILE.csv")
        what.add_argument("--template", action="store_true", help="print the header and an example row")
        parser.add_argument("--dry-run", action="store_true", help="look at every row, register nobody")
        parser.add_argument(
            "--errors", type=Path, metavar="FILE", help="write what is wrong, and where, into this new CSV file"
        )
        parser.add_argument(
            "--workers", type=_workers, default=os.cpu_count() or 1, metavar="N", help="processes (default: one per core)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["template"]:
            self.stdout.write("\n".join(rows.TEMPLATE))
            return
        try:
            bad = self._take_in(options)
        except csvfile.BadFile as error:
            raise CommandError(str(error), returncode=NOT_TAKEN) from error
        except KeyboardInterrupt:
            raise _stopped(_("interrupted")) from None
        except BrokenProcessPool as error:
            raise _stopped(_("a worker process died")) from error
        except (DatabaseTrouble, psycopg2.Error) as error:  # COPY raises the driver's own
            # By its type alone: its text may hold what was to be stored.
            raise _stopped(type(error).__name__) from error
        except OSError as error:
            raise _stopped(str(error)) from error
        if bad:
            raise SystemExit(1)

    def _take_in(self, options: dict[str, Any]) -> int:
        """Take the file in, and say what came of it; return how many rows are wrong."""
        path: Path = options["file"]
        with _bar(os.path.getsize(path) if os.path.isfile(path) else 0, "B") as bar:
            survey = bulk.survey(path, progress=bar.update)
        act = partial(bulk.take_in, survey.form, at=timezone.now(), dry=options["dry_run"])
        right = new = bad = 0
        with self._notebook(options["errors"]) as note, _bar(sum(block.size for block in survey.blocks), "B") as bar:
            outcomes = in_order(act, survey.blocks, workers=min(options["workers"], len(survey.blocks)))
            for block, outcome in zip(survey.blocks, outcomes, strict=True):
                note(outcome.wrong)
                right, new, bad = right + outcome.right, new + outcome.new, bad + outcome.bad
                bar.update(block.size)
        self._say(_("Rows: %(count)s"), right + bad)
        if options["dry_run"]:
            self._say(_("Right; nobody was registered (--dry-run): %(count)s"), right)
        else:
            self._say(_("Registered: %(count)s"), new)
            self._say(_("Registered already, or twice in the file; left as they are: %(count)s"), right - new)
        self._say(_("Wrong, not registered: %(count)s"), bad)
        return bad

    @contextmanager
    def _notebook(self, path: Path | None) -> Iterator[Callable[[list[bulk.Wrong]], None]]:
        """A function that notes what is wrong: in a new file if one is named, else the first of it in the terminal."""
        if path is None:
            left = SHOWN

            def show(wrong: list[bulk.Wrong]) -> None:
                nonlocal left
                with tqdm.external_write_mode():
                    for line, field, reason in wrong[: max(left, 0)]:
                        text = _("Line %(line)s, %(field)s: %(reason)s")
                        self.stderr.write(text % {"line": line, "field": field or "*", "reason": reason})
                left -= len(wrong)

            yield show
            if left < 0:
                self.stderr.write(_("... and %(count)s more: --errors FILE writes them all.") % {"count": -left})
            return
        # Never over another file: it may be the list itself.
        if os.path.lexists(path):
            text = _("There is a file %(path)s already: name a new one.") % {"path": path}
            raise CommandError(text, returncode=NOT_TAKEN)
        # It gets its name when it is whole: when this command is broken off, the same one can be run again.
        draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            try:
                # On the disk before anybody is registered: it may be full.
                draft.write_text(",".join(bulk.Wrong._fields) + "\r\n", encoding="utf-8", newline="")
            except OSError as error:
                text = _("%(path)s cannot be written: %(reason)s") % {"path": path, "reason": error.strerror}
                raise CommandError(text, returncode=NOT_TAKEN) from error
            with draft.open("a", encoding="utf-8", newline="") as file:
                yield csv.writer(file).writerows
            path.touch(exist_ok=False)  # nor over one that has come meanwhile
            draft.replace(path)
        finally:
            with suppress(OSError):
                draft.unlink()

    def _say(self, text: str, count: int) -> None:
        self.stdout.write(text % {"count": number_format(count, force_grouping=True)})


def _bar(total: int, unit: str) -> "tqdm[NoReturn]":
    return tqdm(total=total, unit=unit, unit_scale=True, file=sys.stderr, mininterval=0.5, disable=None)


def _stopped(reason: str) -> CommandError:
    text = _("Stopped: %(reason)s. Whoever was registered stays so; run the command again to go on with the rest.")
    return CommandError(text % {"reason": reason}, returncode=NOT_TAKEN)
