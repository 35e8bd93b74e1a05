from argparse import SUPPRESS
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from prakerja.mockservices import Faults, ReceiptFaults, Server
from prakerja.mockservices.control import from_options
from prakerja.mockservices.knobs import Wrong, knobs

#: Faults that have an option of their own, for all services.
_SHORT = ("latency_ms", "fail_percent", "too_many_percent", "wrong_schema_percent", "seed")


def _names(of: Any) -> str:
    return ", ".join(knob.name for knob in knobs(of))


class Command(BaseCommand):
    help = (
        "Serve mock Dukcapil, e-mail, SMS and payers over HTTP, with trouble to order and a control page. Needs no database."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
        parser.add_argument("--port", type=int, default=8900, help="0: any free port (%(default)s)")
        parser.add_argument(
            "--fault",
            action="append",
            default=[],
            metavar="WHERE.NAME=VALUE",
            help="may be given several times. WHERE: all, dukcapil, email, sms, payout, receipts. "
            f"NAME: {_names(Faults)}. For receipts: {_names(ReceiptFaults)}",
        )
        for knob in knobs(Faults):
            if knob.name in _SHORT:
                option = "--" + knob.name.replace("_", "-")
                parser.add_argument(option, default=SUPPRESS, metavar="N", help=f"{knob.label}, of all services")
        parser.add_argument(
            "--outage",
            action="append",
            default=[],
            metavar="START:SECONDS",
            help="all answer 503 from START seconds after the start on; may be given several times",
        )
        parser.add_argument("--receipts-to", default="", metavar="URL", help="where SMS receipts are posted")
        parser.add_argument("--receipt-secret", default="", metavar="BASE64", help="that they are signed with")
        parser.add_argument("--ledger", type=Path, metavar="FILE", help="gets a line of JSON for each call")
        parser.add_argument(
            "--keep", type=int, default=500, metavar="N", help="messages in /mailbox and /phone (%(default)s)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        of_all = {name: options[name] for name in _SHORT if name in options}
        if options["outage"]:
            of_all["outages"] = " ".join(options["outage"])
        try:
            server = Server(
                host=options["host"],
                port=options["port"],
                receipts_to=options["receipts_to"],
                receipt_secret=options["receipt_secret"],
                ledger_file=options["ledger"],
                kept=options["keep"],
            )
        except OSError as error:
            where = error.filename or f"{options['host']}:{options['port']}"
            raise CommandError(f"{where}: {error.strerror}") from error
        except ValueError as error:
            raise CommandError(f"--receipt-secret: {error}") from None
        with server:
            try:
                server.control.put({"all": of_all})
                server.control.put(from_options(options["fault"]))
            except Wrong as wrong:
                raise CommandError(str(wrong)) from None
            self.stdout.write(server.url)
            self.stdout.flush()
            with suppress(KeyboardInterrupt):
                server.serve_forever()
