"""One server process that outlives whoever started it, and is found again by its pid file."""

import os
import shutil
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path


class EmbeddedError(RuntimeError):
    """An embedded server cannot be had here; the message is one sentence for the person at the terminal."""


class Daemon(ABC):
    """A server whose command line holds `mark`, and which writes its own pid file."""

    title: str
    endings: tuple[tuple[signal.Signals, float], ...]  # signals to stop it by, each with seconds of patience
    patience = 20.0  # seconds from launch to the first answer

    def __init__(self, *, log: Path, pid_file: Path, mark: Path) -> None:
        self.log = log
        self.pid_file = pid_file
        self.mark = str(mark)
        self._child: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def ready(self) -> bool:
        """Whether the server answers now."""

    @abstractmethod
    def launch(self) -> subprocess.Popen[bytes]:
        """Start the process."""

    @abstractmethod
    def version(self) -> str:
        """The server's version, as in `18.6`."""

    def up(self) -> None:
        """Have the server answer: use the one that runs, or start it. Raises `EmbeddedError`."""
        deadline = time.monotonic() + self.patience
        launched = False
        while not self.ready():
            if time.monotonic() > deadline:
                self.down()
                if launched:
                    raise EmbeddedError(f"{self.title} did not answer in {self.patience:.0f} s; see {self.log}")
                deadline = time.monotonic() + self.patience  # a hung one of an earlier start is gone: start anew
            elif self.pid() is None:
                if launched and not self.may_try_again():
                    raise EmbeddedError(f"{self.title} did not start: {last_line(self.log)} (see {self.log})")
                self._child = self.launch()
                launched = True
            time.sleep(0.03)

    def may_try_again(self) -> bool:
        """Whether the reason why the process ended at once will pass by itself."""
        return False

    def down(self) -> None:
        """Stop the server if it runs: gently first."""
        for ending, patience in self.endings:
            deadline = time.monotonic() + patience
            if (pid := self.pid()) is None:
                return
            with suppress(ProcessLookupError):
                os.kill(pid, ending)
            while self.pid() is not None and time.monotonic() < deadline:
                time.sleep(0.02)

    def pid(self) -> int | None:
        """The process id of the running server, never that of a stranger who got a stale number."""
        if self._child is not None:
            if self._child.poll() is None:
                return self._child.pid
            self._child = None
        try:
            pid = int(self.pid_file.read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return None
        return pid if self.mark in command(pid) else None

    def spawn(self, argv: list[str], uid: int | None = None) -> subprocess.Popen[bytes]:
        """Start `argv` in a session of its own: Ctrl-C in the terminal must not reach a server before its users."""
        with self.log.open("ab") as log:
            return subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.log.parent,
                start_new_session=True,
                user=uid,
                group=uid,
                extra_groups=None if uid is None else [],
            )


def command(pid: int) -> str:
    """The command line of a process; empty when it is gone, or a zombie."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    return _ps(pid, "command=")  # with the state before it: a zombie has no command line left


def born(pid: int) -> str:
    """When a process started, in an opaque form: the same number with another birth is another process."""
    if sys.platform == "linux":
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if fields[0] == "Z" else Path("/proc/sys/kernel/random/boot_id").read_text().strip() + fields[19]
    return _ps(pid, "lstart=")


def _ps(pid: int, column: str) -> str:
    return subprocess.run(["ps", "-ww", "-o", column, "-p", str(pid)], capture_output=True, text=True).stdout.strip()


def wheel(package: str) -> Path | None:
    """The folder of an installed package, found without importing it."""
    spec = find_spec(package)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def on_path(*names: str) -> Path | None:
    """The first of these programs that is on the PATH."""
    return next((Path(found) for name in names if (found := shutil.which(name))), None)


def last_line(log: Path) -> str:
    """The line of a log that says best what went wrong last."""
    lines = [line for line in log.read_text(errors="replace").splitlines()[-20:] if line.strip()]
    return next((line for line in reversed(lines) if "FATAL" in line or "rror:" in line), lines[-1] if lines else "?")
