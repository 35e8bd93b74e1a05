"""A Celery worker with a supervisor beside it, so that nothing that Celery or its broker does delays work by a minute.

The supervisor is a small process with one thread. It starts the worker as its child and then, every few seconds:

- asks the child, through the broker, for a sign of life. One that owes it, though the broker takes our messages and no task
  is in its hands, is catatonic: it is killed and started anew;
- looks in PostgreSQL at the head of each of its queues. Work that nobody takes, for whatever reason, it works off itself; and
  all that is due, while there is no broker;
- does beat's chores, half as often as beat, whether or not there is a beat.

Any number of supervisors may do so at once. See docs/decisions/0011-supervised-workers.md.
"""

import ctypes
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections
from kombu import Queue

from foundation import work
from foundation.batches import BATCHES
from prakerja import life
from prakerja.celery import app
from prakerja.embedded.servers import PROJECT

log = logging.getLogger(__name__)

#: How often the supervisor looks, and how often it asks its child for a sign of life, in seconds.
LOOK, ASK = 5.0, 10.0
#: Work at the head of a queue that nobody has taken for so long is worked off by the supervisor.
NEGLECTED = 20.0
#: A child that owes a sign of life for so long is catatonic; a new one may take so long to start.
PATIENCE, START = 30.0, 40.0
#: A child that ends by itself is started again after so many seconds; doubled each time, up to the longest.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
#: How long a single look may work off neglected work: the child must not be left alone for long.
TURN = 20.0
#: Seconds that the supervisor waits for the broker; a half-open link must not hold it up.
BROKER_TIMEOUT = 3.0

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


@dataclass
class Child:
    """The Celery worker, in a process group of its own, and the file in which its pool shows life."""

    command: Sequence[str]
    life: Path
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    #: When it may be started again after it ended by itself, and how long that pause is.
    not_before: float = 0.0
    pause: float = 0.0
    #: Since when it owes a sign of life; None: it owes none.
    asked: float | None = None
    _seen: int = field(default=0, init=False)

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        self.life.touch()
        self._seen = self.life.stat().st_mtime_ns
        self.started, self.asked = time.monotonic(), None
        self.process = subprocess.Popen(
            self.command,
            cwd=PROJECT,
            env=os.environ | {life.VARIABLE: str(self.life)},
            stdin=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C is for the supervisor, which ends the child in order
            preexec_fn=_die_with_supervisor,
        )

    def mind(self) -> None:
        """Start it, and start it again when it has ended."""
        if self.process is None:
            self.start()
        elif self.process.poll() is not None:
            now = time.monotonic()
            if not self.not_before:
                lived = now - self.started
                self.pause = min(LONGEST_PAUSE, self.pause * 2) if self.pause and lived < 60 else FIRST_PAUSE
                self.not_before = now + self.pause
                log.error("the worker ended (exit status %s); again in %.0f s", self.process.returncode, self.pause)
            elif now >= self.not_before:
                self.not_before = 0.0
                self.start()

    def shows_life(self) -> bool:
        """Whether it has shown life since this was asked last; it owes nothing then."""
        seen = self.life.stat().st_mtime_ns
        if seen == self._seen:
            return False
        self._seen, self.asked = seen, None
        return True

    def kill(self) -> None:
        """Kill -9 with its whole pool: one that is stopped, or hangs, hears nothing else."""
        if self.process is not None:
            with suppress(ProcessLookupError, PermissionError):  # macOS says the latter of a group that has ended
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Supervisor:
    """One worker's supervisor; `run` returns when it has been told to end, and the worker has ended."""

    def __init__(
        self, queues: Sequence[str], *, concurrency: int, name: str, pace: float = 1.0, alive: Path | None = None
    ) -> None:
        """`pace` stretches all waits (0.1: ten times as fast); `alive` is a file to touch at every turn."""
        app.loader.import_default_modules()  # tells us all tasks, and who works off which queue
        self.queues = [queue for queue in queues if queue in BATCHES]
        self.pace = pace
        self.alive = alive
        self.answers_on = f"{life.OWN}{name}.{socket.gethostname()}.{os.getpid()}"
        command = [sys.executable, "-m", "celery", "-A", "prakerja", "worker", "-Q", ",".join([*queues, self.answers_on])]
        # Workers of ours have nothing to tell each other, and what they would tell it on is a link that dies silently.
        command += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        command += ["-c", str(concurrency), "-n", f"{name}@%h", "--loglevel", logging.getLevelName(logging.root.level)]
        self._folder = tempfile.TemporaryDirectory(prefix="worker-")
        self.child = Child(command, Path(self._folder.name) / "life")
        self.broker_up = True
        self._signals = 0
        self._told: int | None = None
        self._ask_at = 0.0
        self._heads: dict[str, tuple[int, float]] = {}
        now = time.monotonic()
        self._periods = {
            str(entry["task"]): 2 * float(entry["schedule"]) * pace for entry in settings.CELERY_BEAT_SCHEDULE.values()
        }
        self._chores = {task: now + period for task, period in self._periods.items()}

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        app.conf.broker_transport_options = {**app.conf.broker_transport_options, "socket_timeout": BROKER_TIMEOUT}
        try:
            while not self._signals:
                self.turn()
                self._sleep(LOOK * self.pace)
            self._wait_for_child()
        finally:
            self.child.kill()
            self._forget_answers()
            self._folder.cleanup()

    def turn(self) -> None:
        """One look at everything."""
        if self.alive:
            self.alive.touch()
        self.child.mind()
        self._ask_child()
        self._judge_child()
        try:
            close_old_connections()
            self._stand_in()
            self._do_chores()
        except (DatabaseError, InterfaceError) as error:
            # No reason to touch the child: it waits for the database as we do.
            log.warning("no database: %s", type(error).__qualname__)
            self._heads.clear()
        except Exception as error:
            log.error("%s in a supervisor's turn", type(error).__qualname__)

    # The child

    def _ask_child(self) -> None:
        """Send the child a message that nobody else gets; whether the broker takes it tells whether there is a broker."""
        now = time.monotonic()
        if now < self._ask_at:
            return
        self._ask_at = now + ASK * self.pace
        try:
            app.send_task("worker.answer", queue=self.answers_on, retry=False, expires=60, ignore_result=True)
        except Exception as error:  # down, half-open, full, read-only: it takes no messages
            if self.broker_up:
                log.warning("no broker (%s): the supervisor works off what is due", type(error).__qualname__)
            self.broker_up = False
            self.child.asked = None  # it cannot hear us
        else:
            if not self.broker_up:
                log.warning("the broker answers again")
            self.broker_up = True
            if self.child.asked is None and self.child.alive():
                self.child.asked = now

    def _judge_child(self) -> None:
        if not self.child.alive() or self.child.shows_life() or self.child.asked is None:
            return
        now = time.monotonic()
        owing, lived = now - self.child.asked, now - self.child.started
        if owing > PATIENCE * self.pace and lived > START * max(self.pace, 0.25):
            log.error("the worker shows no life for %.0f s: killed and started anew", owing)
            self.child.kill()
            self._forget_answers()
            self.child.start()
            self._ask_at = 0.0

    def _forget_answers(self) -> None:
        with suppress(Exception), app.connection_for_write() as link:
            link.transport_options = app.conf.broker_transport_options
            Queue(self.answers_on, channel=link.default_channel).delete()

    # The work

    def _do_chores(self) -> None:
        """Beat may be dead, or there may be two: each chore is harmless at any time, and cheap when it has just been done."""
        for task, due in self._chores.items():
            if time.monotonic() >= due:
                self._chores[task] = time.monotonic() + self._periods[task]
                if self.broker_up and app.tasks[task].time_limit:
                    # It may take minutes, for which the child would be left alone: it is a worker's.
                    app.send_task(task, retry=False, expires=self._periods[task], ignore_result=True)
                else:
                    app.tasks[task]()

    def _stand_in(self) -> None:
        """Work off what nobody takes; while there is no broker, whatever is due."""
        end = time.monotonic() + TURN
        for queue in self._neglected():
            taken = 0
            while not self._signals and time.monotonic() < end and (items := BATCHES[queue]()):
                taken += items
            if taken:
                log.warning("%s: %s items that no worker took were worked off by the supervisor", queue, taken)

    def _neglected(self) -> list[str]:
        now = time.monotonic()
        heads = work.heads(self.queues)
        since = {queue: (head.id, self._first_seen(queue, head.id, now)) for queue, head in heads.items()}
        self._heads = since
        wait = NEGLECTED * self.pace if self.broker_up else 0
        return [queue for queue, (_, first) in since.items() if now - first >= wait]

    def _first_seen(self, queue: str, head: int, now: float) -> float:
        id, first = self._heads.get(queue, (None, now))
        return first if id == head else now

    # The end

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        """Told to end: the child is told at once, even if a batch is in our own hands. Told again: no patience is left."""
        self._signals += 1
        process = self.child.process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            if self._signals == 1:
                self._told = process.pid
                os.kill(process.pid, signal.SIGTERM)
            else:
                os.killpg(process.pid, signal.SIGKILL)

    def _wait_for_child(self) -> None:
        """Until the child has settled what it has in hand; no longer than its lease."""
        process = self.child.process
        if process is None or process.poll() is not None:
            return
        if self._told != process.pid:
            os.kill(process.pid, signal.SIGTERM)
        end = time.monotonic() + settings.LEASE_SECONDS
        while process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self._signals and time.monotonic() < end:
            time.sleep(min(0.2, seconds))


def _die_with_supervisor() -> None:
    """Have the kernel kill the worker with its supervisor (Linux); Celery sees to it that the pool goes with the worker."""
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
