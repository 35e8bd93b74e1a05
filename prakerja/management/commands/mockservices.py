from contextlib import suppress
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from prakerja.mockservices import Faults, Server


def _outage(value: str) -> tuple[float, float]:
    start, _, length = value.partition(":")
    return float(start), float(length)


class Command(BaseCommand):
    help = "Serve mock Dukcapil, e-mail and SMS over HTTP, with trouble to order. Needs no database."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
        parser.add_argument("--port", type=int, default=8900, help="0: any free port (%(default)s)")
        parser.add_argument("--latency-ms", type=float, default=0, help="before each answer")
        parser.add_argument("--fail-percent", type=float, default=0, help="calls answered 500")
        parser.add_argument("--too-many-percent", type=float, default=0, help="calls answered 429 with Retry-After")
        parser.add_argument("--wrong-schema-percent", type=float, default=0, help="calls answered with nonsense")
        parser.add_argument(
            "--outage",
            type=_outage,
            action="append",
            default=[],
            metavar="START:SECONDS",
            help="503 from START seconds after the start on; may be given several times",
        )
        parser.add_argument("--seed", type=int, default=0, help="of the chances above (%(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        faults = Faults(
            latency_ms=options["latency_ms"],
            fail_percent=options["fail_percent"],
            too_many_percent=options["too_many_percent"],
            wrong_schema_percent=options["wrong_schema_percent"],
            outages=options["outage"],
            seed=options["seed"],
        )
        try:
            server = Server(faults, host=options["host"], port=options["port"])
        except OSError as error:
            raise CommandError(f"cannot listen on {options['host']}:{options['port']}: {error.strerror}") from error
        with server:
            self.stdout.write(server.url)
            self.stdout.flush()
            with suppress(KeyboardInterrupt):
                server.serve_forever()
