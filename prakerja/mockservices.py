"""The mock services behind HTTP, with made-to-measure trouble: what the HTTP adapters are tried and rehearsed against.

It speaks the wire form of docs/services.md, answers as the in-process mocks do, and keeps what it "delivers" in memory.
"""

import json
import random
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from typing import Any, TypeAlias

from foundation.email import Mail, MockEmail
from foundation.mockworld import KEPT, Channel, Message
from foundation.sms import MockSms, Sms
from verification.dukcapil import Identity, MockDukcapil

MAX_REQUEST_BYTES = 5_000_000
REFERENCES_KEPT = 100_000

Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What goes wrong, by chance (seeded) or by the clock."""

    latency_ms: float = 0
    #: Of 100 calls: answered 500; answered 429 with Retry-After; answered 200 in a form that was never agreed on.
    fail_percent: float = 0
    too_many_percent: float = 0
    wrong_schema_percent: float = 0
    #: (start, length) in seconds since the server's start: 503 all the time.
    outages: Sequence[tuple[float, float]] = ()
    seed: int = 0


class MockServices:
    """The three services and what they have delivered. Shared by the server's threads."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.delivered: dict[Channel, deque[Json]] = {"email": deque(maxlen=KEPT), "sms": deque(maxlen=KEPT)}
        self._random = random.Random(faults.seed)
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._references: OrderedDict[str, None] = OrderedDict()
        self._dukcapil = MockDukcapil()
        self._email = MockEmail(deliver_to=self._deliver)
        self._sms = MockSms(deliver_to=self._deliver_once)

    def match(self, body: Json) -> Json:
        asked = [
            Identity(request["id"], request["nik"], request["kk"], date.fromisoformat(request["birth_date"]))
            for request in body["requests"]
        ]
        verdicts = self._dukcapil.match(asked)
        return {"answers": [{"id": of.reference, "verdict": it.value} for of, it in zip(asked, verdicts, strict=True)]}

    def send_email(self, body: Json) -> Json:
        mails = [Mail(**message) for message in body["messages"]]
        return _results([mail.reference for mail in mails], self._email.send(mails))

    def send_sms(self, body: Json) -> Json:
        messages = [Sms(**message) for message in body["messages"]]
        return _results([message.reference for message in messages], self._sms.send(messages))

    def _deliver(self, channel: Channel, messages: Sequence[Message]) -> None:
        self.delivered[channel].extend(message._asdict() for message in messages)

    def _deliver_once(self, channel: Channel, messages: Sequence[Message]) -> None:
        """The same reference is the same message: it was delivered the first time."""
        with self._lock:
            new = [message for message in messages if message.reference not in self._references]
            self._references.update((message.reference, None) for message in new)
            while len(self._references) > REFERENCES_KEPT:
                self._references.popitem(last=False)
        self._deliver(channel, new)

    def trouble(self) -> tuple[int, dict[str, str]] | None:
        """The status and headers that a call gets instead of an answer, if it is its turn."""
        running = time.monotonic() - self._started
        for start, length in self.faults.outages:
            if start <= running < start + length:
                return 503, {"Retry-After": str(max(1, round(start + length - running)))}
        chance = self._chance()
        if chance < self.faults.fail_percent:
            return 500, {}
        if chance < self.faults.fail_percent + self.faults.too_many_percent:
            return 429, {"Retry-After": "1"}
        return None

    def bent(self, answer: Json) -> Any:
        """The answer, or nonsense in its place when it is its turn."""
        if self._chance() >= self.faults.wrong_schema_percent:
            return answer
        [(name, entries)] = answer.items()
        nonsense: list[Callable[[], Any]] = [
            lambda: {"error": "try again"},
            lambda: entries,
            lambda: {name: None},
            lambda: {name: entries[1:]},
            lambda: {name: [{key: str(value) + "?" for key, value in entry.items()} for entry in entries]},
            lambda: {name: [{**entry, "note": ""} for entry in entries]},
        ]
        with self._lock:
            chosen = self._random.choice(nonsense)
        return chosen()

    def _chance(self) -> float:
        with self._lock:
            return self._random.uniform(0, 100)


def _results(references: Sequence[str], outcomes: Sequence[Enum]) -> Json:
    pairs = zip(references, outcomes, strict=True)
    return {"results": [{"reference": reference, "status": outcome.value} for reference, outcome in pairs]}


class Server(ThreadingHTTPServer):
    """Listens on `host`:`port` (0: any free port) until it is shut down."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, faults: Faults = Faults(), *, host: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__((host, port), _Handler)
        self.services = MockServices(faults)

    @property
    def url(self) -> str:
        return "http://{}:{}".format(*self.server_address[:2])


@contextmanager
def serving(faults: Faults = Faults()) -> Iterator[Server]:
    """A server in threads of this process."""
    with Server(faults) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    #: Head and body in one packet: in two, the second one waits for the client's delayed acknowledgement.
    wbufsize = -1
    server: Server

    def do_GET(self) -> None:
        services = self.server.services
        if self.path == "/healthz":
            self._answer(200, {"status": "ok"}, {})
        elif self.path in ("/mailbox", "/phone") and ip_address(self.client_address[0]).is_loopback:
            delivered = services.delivered["email" if self.path == "/mailbox" else "sms"]
            self._answer(200, {"messages": list(delivered)}, {})
        else:
            self._answer(404, {"error": "not found"}, {})

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if length.isdecimal() and int(length) <= MAX_REQUEST_BYTES:
            self._answer(*self._outcome(self.rfile.read(int(length))))
        else:
            self.close_connection = True
            self._answer(413, {"error": "too large"}, {})

    def _outcome(self, content: bytes) -> tuple[int, Any, dict[str, str]]:
        """Status, body and headers of the answer to a POST."""
        services = self.server.services
        routes = {
            "/dukcapil/v1/match": services.match,
            "/email/v1/messages": services.send_email,
            "/sms/v1/messages": services.send_sms,
        }
        time.sleep(services.faults.latency_ms / 1000)
        if self.path not in routes:
            return 404, {"error": "not found"}, {}
        if trouble := services.trouble():
            status, headers = trouble
            return status, {"error": "trouble"}, headers
        try:
            return 200, services.bent(routes[self.path](json.loads(content))), {}
        except (ValueError, TypeError, KeyError, AttributeError):
            return 400, {"error": "malformed"}, {}

    def _answer(self, status: int, body: Any, headers: dict[str, str]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: one line a call is of no use to anybody."""
