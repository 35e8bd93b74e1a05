"""Start what is down, share what is up, stop what nobody uses any more."""

import fcntl
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from .daemon import EmbeddedError
from .postgres import NAME, Postgres
from .valkey import Valkey

__all__ = ["EmbeddedError", "Endpoints", "Servers", "default_state"]

PROJECT = Path(__file__).resolve().parents[2]


def default_state() -> Path:
    """Where data and logs live: `.state` in the project, or the folder that PRAKERJA_STATE names."""
    return Path(os.environ.get("PRAKERJA_STATE") or PROJECT / ".state")


@dataclass(frozen=True)
class Endpoints:
    """Where the servers are, as URLs for the settings.

    `database_url` is in django-environ's form for a socket folder (`postgres://user@//folder/name`), `redis_url` in
    Celery's (`redis+socket:///path?virtual_host=0`); Django's cache and redis-py want `unix:///path?db=0` instead.
    """

    database_url: str
    redis_url: str
    postgres_version: str
    redis_version: str


class Servers:
    """One PostgreSQL and one Valkey per state folder, shared by every process that calls `start`.

    A user holds a shared lock on `in-use.lock`; whoever releases it last stops the servers. The lock of a user that
    was killed vanishes with it: the servers it left are found again by the next start, and never block it.
    """

    def __init__(self, state: Path | None = None, *, durable: bool = True) -> None:
        self.state = (state or default_state()).resolve()
        # One state folder, one socket folder, whatever TMPDIR says today; short, for paths end at some 100 bytes.
        short = hashlib.sha256(str(self.state).encode()).hexdigest()[:10]
        self.sockets = Path(f"/tmp/prakerja-{os.geteuid()}-{short}")
        self.postgres = Postgres(self.state, self.sockets, durable=durable)
        self.valkey = Valkey(self.state, self.sockets)
        self._use: IO[bytes] | None = None
        self._user = 0

    @property
    def database_url(self) -> str:
        """The database's address, whether or not it is up."""
        return f"postgres://{NAME}@/{self.sockets}/{NAME}"

    @property
    def redis_url(self) -> str:
        """The broker's address, whether or not it is up."""
        return f"redis+socket://{self.valkey.socket}?virtual_host=0"

    @property
    def in_use(self) -> bool:
        """Whether this process counts as a user."""
        return self._use is not None

    def start(self) -> Endpoints:
        """Have both servers answer and count this process as a user of them. Raises `EmbeddedError`."""
        with self._starting():
            if self._use is None:
                self._use = _lock(self.state / "in-use.lock", fcntl.LOCK_SH)
                self._user = os.getpid()
            try:
                self._make_sockets()
                self.postgres.up()
                self.valkey.up()
            except BaseException:
                self.release()
                raise
            return Endpoints(self.database_url, self.redis_url, self.postgres.version(), self.valkey.version())

    def release(self) -> None:
        """Use the servers no longer; the last user stops them. Harmless when repeated, or in a forked child."""
        if self._use is None or self._user != os.getpid():
            return
        use, self._use = self._use, None
        with use:
            # Unlocked by name: a forked child that still has the file open would keep the lock otherwise.
            fcntl.flock(use, fcntl.LOCK_UN)
            try:
                fcntl.flock(use, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            self._stop()

    def running(self) -> dict[str, int | None]:
        """The process id of each server that runs."""
        return {daemon.title: daemon.pid() for daemon in (self.postgres, self.valkey)}

    def stop_all(self) -> None:
        """Stop both servers. Raises `EmbeddedError` while another process uses them."""
        if not self.state.exists():
            return
        self.release()
        with self._starting(), self._alone():
            self._stop()

    def destroy(self) -> None:
        """Stop both servers, remove their data, logs and sockets. Raises `EmbeddedError` while somebody else uses them."""
        if not self.state.exists():
            return
        self.release()
        with self._starting(), self._alone():
            self._stop()
            shutil.rmtree(self.sockets, ignore_errors=True)
            shutil.rmtree(self.state)

    def _stop(self) -> None:
        self.valkey.down()
        self.postgres.down()

    @contextmanager
    def _starting(self) -> Iterator[None]:
        self.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _lock(self.state / "starting.lock", fcntl.LOCK_EX):
            yield

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            lock = _lock(self.state / "in-use.lock", fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EmbeddedError("The servers are in use: end the demo, tests or command that runs, and try again.") from None
        with lock:
            yield

    def _make_sockets(self) -> None:
        """Everybody may write to /tmp: the folder must be ours, no link, and closed to the world."""
        self.sockets.mkdir(mode=0o700, exist_ok=True)
        found = self.sockets.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o007:
            raise EmbeddedError(f"{self.sockets} is not a private folder of this user: remove it and try again.")


def _lock(path: Path, operation: int) -> IO[bytes]:
    """The locked file. Raises `BlockingIOError` when it may not wait."""
    while True:
        file = path.open("ab")
        try:
            fcntl.flock(file, operation)
        except BaseException:
            file.close()
            raise
        if os.fstat(file.fileno()).st_nlink:
            return file
        # Removed by `destroy` while we waited. Its folder goes next; the caller's start makes a new one.
        file.close()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
