"""A host of its own, as far as the network goes: `python -m tests.faults.host manage.py worker ...`.

Runs the command in a network namespace whose only interface is its loopback. Through it, and nothing else, the command reaches
database and broker: a proxy (`tests.proxy`) carries the bytes to their unix sockets, as a cable would. `unplug` takes the
interface down: packets are lost both ways, nobody says goodbye, and the database sees a client that has merely fallen silent.
"""

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from tests.proxy import Proxy

_ENTER = ["unshare", "--net", "--map-root-user"]


def available() -> bool:
    """Whether this machine lets us make network namespaces."""
    try:
        return subprocess.run([*_ENTER, "ip", "link", "set", "lo", "up"], capture_output=True, timeout=10).returncode == 0
    except OSError:
        return False


def unplug(host: "subprocess.Popen[bytes]") -> None:
    _set_link(host, "down")


def plug_in(host: "subprocess.Popen[bytes]") -> None:
    _set_link(host, "up")


def _set_link(host: "subprocess.Popen[bytes]", state: str) -> None:
    inside = ["nsenter", "-t", str(host.pid), "--user", "--net", "--preserve-credentials"]
    subprocess.run([*inside, "ip", "link", "set", "lo", state], check=True)


def main(arguments: list[str]) -> None:
    if arguments[0] != "--inside":
        os.execvp(_ENTER[0], [*_ENTER, sys.executable, "-m", "tests.faults.host", "--inside", *arguments])  # noqa: S606 - our own words
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    database, broker = urlsplit(os.environ["DATABASE_URL"]), urlsplit(os.environ["REDIS_URL"])
    user = database.username
    folder, _, name = database.path.removeprefix("/").rpartition("/")
    to_database = Proxy(Path("/", folder, ".s.PGSQL.5432"))
    to_broker = Proxy(Path(broker.path))
    here = {
        "DATABASE_URL": urlunsplit(("postgres", f"{user}@127.0.0.1:{to_database.port}", name, "", "")),
        "REDIS_URL": f"redis://127.0.0.1:{to_broker.port}/0",
    }
    sys.exit(subprocess.run([sys.executable, *arguments[1:]], env=os.environ | here).returncode)


if __name__ == "__main__":
    main(sys.argv[1:])
