"""Somebody who asks the mock services, and somebody whom they tell of their messages."""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest
import requests

from prakerja.mockservices import Server
from tests.processes import wait_until

SECRET = b"a secret of the tests, 32 bytes."
PHONE, DEAD_PHONE = "+6281234567890", "+62812090000001"


def send_sms(server: Server, *references: str, to: str = PHONE, text: str = "123456") -> requests.Response:
    messages = [{"reference": reference, "to": to, "text": text} for reference in references]
    return requests.post(server.url + "/sms/v1/messages", json={"messages": messages}, timeout=10)


def references(server: Server, service: str = "sms", **asked: str) -> dict[str, dict[str, Any]]:
    """What the ledger says of each."""
    answer = requests.get(server.url + "/ledger/references", params={"service": service, **asked}, timeout=10)
    lines = [json.loads(line) for line in answer.text.splitlines()]
    return {line["reference"]: line for line in lines}


def sums(server: Server, service: str = "sms") -> dict[str, Any]:
    found: dict[str, Any] = requests.get(server.url + "/ledger", timeout=10).json()["services"][service]
    return found


class Told(NamedTuple):
    """One call that came in."""

    webhook_id: str
    genuine: bool
    receipts: list[dict[str, str]]


class Receiver(ThreadingHTTPServer):
    """Takes receipts as the project is to take them; remembers all calls, and answers what is in `answers` first."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Receiving)
        self.calls: list[Told] = []
        self.answers: list[int] = []

    @property
    def url(self) -> str:
        return "http://{}:{}/receipts/".format(*self.server_address[:2])

    @property
    def genuine(self) -> list[tuple[str, str]]:
        """Reference and status of each receipt that is to be believed, as they came."""
        return [(told["reference"], told["status"]) for call in self.calls if call.genuine for told in call.receipts]

    def has_all_of(self, server: Server) -> "Receiver":
        """Wait until nothing more is to come."""
        receipts = server.receipts
        assert receipts is not None
        wait_until(lambda: receipts.outstanding() == 0, seconds=10, what="all receipts")
        return self


class _Receiving(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        genuine = is_genuine(self.headers, body)
        status = self.server.answers.pop(0) if self.server.answers else 204 if genuine else 401
        self.server.calls.append(Told(self.headers["webhook-id"], genuine, json.loads(body)["receipts"]))
        self.send_response(status)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None: ...


def is_genuine(headers: Any, body: bytes) -> bool:
    """As the specification of Standard Webhooks says."""
    id, timestamp = headers["webhook-id"], headers["webhook-timestamp"]
    right = base64.b64encode(hmac.new(SECRET, f"{id}.{timestamp}.".encode() + body, hashlib.sha256).digest()).decode()
    return headers["webhook-signature"] == f"v1,{right}" and abs(time.time() - int(timestamp)) < 300


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
