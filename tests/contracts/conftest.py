"""Two servers: the mock services, which behave, and a scripted one, which says whatever a test wants it to say."""

import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from prakerja.mockservices import Server, serving

#: From the records asked about to the bytes that go back; None hangs up.
Script = Callable[[list[dict[str, str]]], bytes | None]


class ScriptedServer(socketserver.ThreadingTCPServer):
    """Answers each call with whatever `script` makes of its records, and remembers what it was asked."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Scripted)
        self.script: Script = lambda records: None
        self.calls: list[tuple[str, dict[str, str], list[dict[str, str]]]] = []

    @property
    def url(self) -> str:
        return "http://{}:{}".format(*self.server_address[:2])


class _Scripted(socketserver.StreamRequestHandler):
    server: ScriptedServer

    def handle(self) -> None:
        if not (first := self.rfile.readline().decode()):
            return
        headers = {}
        while line := self.rfile.readline().decode().strip():
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        [records] = json.loads(self.rfile.read(int(headers["content-length"]))).values()
        self.server.calls.append((first.split()[1], headers, records))
        answer = self.server.script(records)
        if answer is not None:
            self.wfile.write(answer)


@pytest.fixture
def scripted() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def mock_services() -> Iterator[Server]:
    with serving() as server:
        yield server


def http(body: Any, *, status: str = "200 OK", content_type: str = "application/json", headers: str = "") -> bytes:
    """An HTTP answer; `body` goes out as JSON unless it is bytes."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(content)}\r\nConnection: close\r\n"
    return f"{head}{headers}\r\n".encode() + content
