"""The test run's own servers: a real PostgreSQL and a real Redis, thrown away afterwards.

Loaded by `-p tests.servers`, before Django reads its settings. Each worker of a parallel run has a database and a broker
number of its own on the same two servers.
"""

import base64
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
import redis

from prakerja.embedded.servers import Servers

_stop: list[subprocess.Popen[bytes] | Servers] = []
_header = ""


def _key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def _start() -> None:
    global _header
    state = Path(tempfile.mkdtemp(prefix="prakerja-test-"))
    servers = Servers(state, durable=False)
    _stop.append(servers)
    endpoints = servers.start()
    broker, broker_url = f"Valkey {endpoints.redis_version}, embedded", endpoints.redis_url
    if redis_server := shutil.which("redis-server"):
        socket = servers.sockets / "redis.sock"
        options = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--maxmemory-policy", "noeviction"]
        _stop.insert(
            0, subprocess.Popen([redis_server, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=state)
        )
        deadline = time.monotonic() + 10
        while not socket.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        version = redis.Redis(unix_socket_path=str(socket)).info("server")["redis_version"]
        broker, broker_url = f"Redis {version}, {redis_server}", f"redis+socket://{socket}?virtual_host=0"
    _header = f"PostgreSQL {endpoints.postgres_version}; {broker}"
    os.environ.update(
        DATABASE_URL=endpoints.database_url,
        REDIS_URL=broker_url,
        PRAKERJA_STATE=str(state),
        PRODUCTION="0",
        DEMO="1",
        HINTS="0",
        SECRET_KEY=_key(),
        SEALING_KEYS=f"1:{_key()}",
        DIGEST_KEY=_key(),
        STATIC_ROOT=str(state / "static"),
        DJANGO_ALLOW_ASYNC_UNSAFE="1",  # Playwright's synchronous API runs an event loop in the test's thread
    )


if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    os.environ["REDIS_URL"] = os.environ["REDIS_URL"].replace("virtual_host=0", f"virtual_host={1 + int(worker[2:])}")
else:
    _start()


def pytest_report_header() -> str:
    return _header


def pytest_unconfigure(config: pytest.Config) -> None:
    for server in _stop:
        if isinstance(server, Servers):
            server.destroy()
        else:
            server.terminate()
            server.wait(10)
    _stop.clear()
