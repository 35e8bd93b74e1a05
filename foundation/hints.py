"""Hints: messages by which workers learn at once that there may be something to do in a queue.

They are sent from a thread of its own, so that nobody who signs up waits for the broker, and no more often than is of use:
however many ask for it meanwhile, a queue gets one hint. None of them matters; what is lost, the sweeper makes up for.
"""

import atexit
import heapq
import logging
import os
import threading
import time

from celery import current_app
from django.conf import settings
from kombu.exceptions import OperationalError as BrokerDown

log = logging.getLogger(__name__)

#: Between two hints for one queue, in seconds.
GAP = 0.05
#: How long nothing is sent when there is no broker.
PAUSE = 5.0
#: How long the end of the process waits for what is still to be sent.
LAST_WAIT = 4.0


def send_hint(queue: str, *, after: float = 0) -> None:
    """Have a worker of `queue` told, soon or after so many seconds."""
    if settings.HINTS:
        _sender.send(queue, after)


class _Sender:
    """The thread, which starts with the first hint of a process."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        #: Queues by the instant of their hint, the next one first.
        self._due: list[tuple[float, str]] = []
        self._sending = False
        self._thread: threading.Thread | None = None

    def send(self, queue: str, after: float) -> None:
        at = time.monotonic() + after
        with self._changed:
            # Many ask for the same at about the same time.
            if not any(queue == other and abs(at - due) <= GAP for due, other in self._due):
                heapq.heappush(self._due, (at, queue))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="hints", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def drain(self, seconds: float) -> None:
        """Wait until everything is sent that is due, for so long at most."""
        with self._changed:
            self._changed.wait_for(lambda: not self._sending and self._next_in() > 0, seconds)

    def _next_in(self) -> float:
        return self._due[0][0] - time.monotonic() if self._due else threading.TIMEOUT_MAX

    def _run(self) -> None:
        while True:
            queues = self._take()
            try:
                for queue in sorted(queues):
                    current_app.send_task(f"work.{queue}", queue=queue, retry=False, expires=60, ignore_result=True)
            except BrokerDown:
                log.warning("no broker: hints pause for %.0f s", PAUSE)
                with self._changed:
                    self._due, self._sending = [], False
                    self._changed.notify_all()
                time.sleep(PAUSE)
            except Exception:
                log.exception("a hint was not sent")
            time.sleep(GAP)

    def _take(self) -> set[str]:
        """Wait for the next hints; their queues."""
        with self._changed:
            self._sending = False
            self._changed.notify_all()
            while (wait := self._next_in()) > 0:
                self._changed.wait(min(wait, 3600))
            self._sending, queues = True, set()
            while self._next_in() <= GAP:
                queues.add(heapq.heappop(self._due)[1])
            return queues


_sender = _Sender()


def drain() -> None:
    """At the end of a process: wait, but not for long, until what is due has been sent."""
    _sender.drain(LAST_WAIT)


def _anew() -> None:
    """A forked process has no thread, and perhaps somebody else's lock."""
    global _sender
    _sender = _Sender()


os.register_at_fork(after_in_child=_anew)
atexit.register(drain)
