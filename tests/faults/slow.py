"""A mail server that takes its time, so that a worker can be killed or cut off in the middle of a batch."""

import os
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from django.db import transaction

from foundation.email import Delivery, Mail, MockEmail
from registrations.models import Registrant


class SlowEmail(MockEmail):
    """Notes in a file when it begins, and waits before it answers; with `SLOW_EMAIL_LOCKS` it has the people locked meanwhile."""

    def send(self, mails: Sequence[Mail]) -> list[Delivery]:
        locks = bool(os.environ.get("SLOW_EMAIL_LOCKS"))
        with transaction.atomic() if locks else nullcontext():
            if locks:
                ids = [int(mail.reference.partition(".")[0]) for mail in mails]
                list(Registrant.objects.select_for_update().filter(pk__in=ids).order_by("pk"))
            if mails:
                with Path(os.environ["SLOW_EMAIL_LOG"]).open("a") as log:
                    log.write(f"{os.getpid()} {len(mails)}\n")
                time.sleep(float(os.environ["SLOW_EMAIL_SECONDS"]))
            return super().send(mails)


class Noting:
    """A mail server or SMS gateway that notes in a file by which references it is asked; at the `last` one it takes its time."""

    def __init__(self, log: Path, answer: Any, *, last: int | None = None) -> None:
        self._log, self._answer, self._last = log, answer, last

    def send(self, messages: Sequence[Any]) -> list[Any]:
        for number, message in enumerate(messages, start=1):
            with self._log.open("a") as log:
                log.write(f"{message.reference}\n")
            if number == self._last:
                time.sleep(600)
        return [self._answer] * len(messages)
