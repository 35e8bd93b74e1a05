"""Signs of life that a Celery worker gives its supervisor: a file that its pool touches whenever work passes through it.

Only work counts: a process that lives but is given nothing, or does nothing with it, shows no life. See
`prakerja.supervisor`, which names the file in the environment of the worker it starts.
"""

import os
import time
from pathlib import Path
from threading import Event, Thread

from celery import shared_task, signals

VARIABLE = "WORKER_LIFE_FILE"
#: What the name of the queue begins with that only one worker reads, and its supervisor asks it on.
OWN = "worker."
#: While a task is in hand, life is shown this often, in seconds: a batch may take its whole lease.
BEAT_SECONDS = 2.0

_in_hand = Event()


@shared_task(name="worker.answer")
def answer() -> None:
    """Do nothing: that it is done shows that messages come through, from the broker to the pool."""


def show() -> None:
    """Touch the file, if a supervisor has asked for it."""
    if path := os.environ.get(VARIABLE):
        Path(path).touch()


@signals.worker_process_init.connect
def _begin(**_: object) -> None:
    if VARIABLE in os.environ:
        Thread(target=_beat_while_in_hand, daemon=True).start()


def _beat_while_in_hand() -> None:
    """A process that is stopped, or hangs in a call that never lets go, does not come round here either."""
    while _in_hand.wait():
        show()
        time.sleep(BEAT_SECONDS)


@signals.task_prerun.connect
def _took(**_: object) -> None:
    _in_hand.set()
    show()


@signals.task_postrun.connect
def _finished(**_: object) -> None:
    _in_hand.clear()
    show()
