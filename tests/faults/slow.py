"""A mail server that takes its time, so that a worker can be killed in the middle of a batch."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

from foundation.email import Delivery, Mail, MockEmail


class SlowEmail(MockEmail):
    """Notes in a file when it begins, and waits before it answers."""

    def send(self, mails: Sequence[Mail]) -> list[Delivery]:
        if mails:
            with Path(os.environ["SLOW_EMAIL_LOG"]).open("a") as log:
                log.write(f"{os.getpid()} {len(mails)}\n")
            time.sleep(float(os.environ["SLOW_EMAIL_SECONDS"]))
        return super().send(mails)
