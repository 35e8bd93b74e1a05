"""A Celery worker, supervised: `manage.py worker --queues email,identity`."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from prakerja.ready import refuse_to_start_unready
from prakerja.supervisor import Supervisor

QUEUES = (
    "email,identity,phone,messages,notice_email,notice_sms,webhooks,inbox,celery,"
    "obligations,gates,account_notices,"
    "check_bni,check_bri,check_mandiri,check_ovo,check_linkaja,check_gopay,check_dana,"
    "payout_bni,payout_bri,payout_mandiri,payout_ovo,payout_linkaja,payout_gopay,payout_dana"
)


class Command(BaseCommand):
    help = "Run a Celery worker, and beside it a supervisor that replaces it when it hangs and works when it cannot."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--queues", default=QUEUES, help=f"the queues that it works off (default: {QUEUES})")
        parser.add_argument("--concurrency", type=int, default=2, help="so many processes of Celery's (default: 2)")
        parser.add_argument("--name", default="worker", help="its name on this host (default: worker)")
        parser.add_argument("--alive", type=Path, metavar="FILE", help="touch this file at every turn, for a health check")
        parser.add_argument(
            "--pace", type=float, default=1.0, help="stretch the supervisor's waits (default: 1; tests: less)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        refuse_to_start_unready()
        Supervisor(
            options["queues"].split(","),
            concurrency=options["concurrency"],
            name=options["name"],
            pace=options["pace"],
            alive=options["alive"],
        ).run()
