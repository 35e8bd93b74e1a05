"""The mock services as a server: their wire, their ledger, and the hand at their faults."""

import json
import select
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit

from foundation.mockworld import KEPT
from prakerja.mockservices import pages
from prakerja.mockservices.control import Control
from prakerja.mockservices.faults import Clock, Faults
from prakerja.mockservices.knobs import Wrong
from prakerja.mockservices.ledger import Call, Ledger
from prakerja.mockservices.receipts import RETRIES, ReceiptFaults, Receipts
from prakerja.mockservices.services import FORMS, SERVICES, MockServices, Reply

MAX_REQUEST_BYTES = 5_000_000

Headers: TypeAlias = Mapping[str, str]

_SERVICE_OF = {form.path: name for name, form in FORMS.items()}


class Server(ThreadingHTTPServer):
    """Listens on `host`:`port` (0: any free port) until it is shut down.

    `faults`: of all services, or of each by its name. `receipts_to`: the address that is told what became of each SMS,
    with `receipt_secret` (base64) and `receipt_faults`. `ledger_file` gets a line for each call. `kept`: so many of the
    newest messages of each channel can be looked at.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        faults: Faults | Mapping[str, Faults] = Faults(),
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        receipts_to: str = "",
        receipt_secret: str = "",
        receipt_faults: ReceiptFaults = ReceiptFaults(),
        receipt_retries: Sequence[float] = RETRIES,
        ledger_file: Path | None = None,
        kept: int = KEPT,
        clock: Clock = time.monotonic,
    ) -> None:
        self.ledger = Ledger(SERVICES, ledger_file)
        self.receipts: Receipts | None = None
        if receipts_to:
            self.receipts = Receipts(
                receipts_to, receipt_secret, receipt_faults, ledger=self.ledger, retries=receipt_retries
            )
        super().__init__((host, port), _Handler)
        self.services = MockServices(faults, self.ledger, clock=clock, gateway=self.receipts, kept=kept)
        self.control = Control(self.services.trouble, self.receipts)
        if self.receipts:
            self.receipts.start()

    def server_close(self) -> None:
        super().server_close()
        if self.receipts:
            self.receipts.stop()
        self.ledger.close()

    @property
    def url(self) -> str:
        return "http://{}:{}".format(*self.server_address[:2])

    def summary(self) -> dict[str, Any]:
        """The ledger's sums, with what is still to come."""
        summary = self.ledger.summary()
        if self.receipts:
            summary["receipts"]["outstanding"] = self.receipts.outstanding()
        return summary


@contextmanager
def serving(faults: Faults | Mapping[str, Faults] = Faults(), **options: Any) -> Iterator[Server]:
    """A server in threads of this process; `options` are those of `Server`."""
    with Server(faults, **options) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def _of_a_payer(path: str) -> tuple[str, str]:
    """`/bni/payout/v1/orders` is BNI's: several banks can be one server."""
    first, _, rest = path.lstrip("/").partition("/")
    return (first, f"/{rest}") if rest.startswith("payout/") else ("", path)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    #: Head and body in one packet: in two, the second one waits for the client's delayed acknowledgement.
    wbufsize = -1
    server: Server

    # Asked by the project

    def do_POST(self) -> None:
        content = self._content()
        payer, path = _of_a_payer(urlsplit(self.path).path)
        form = FORMS.get(path)
        if content is None:
            if form:
                self.server.ledger.enter(Call(form.service, 413, "malformed"))
            self._answer_json(413, {"error": "too large"})
        elif form:
            self._serve(path, content, payer)
        elif self.path == "/control":
            self._posted(content)
        else:
            self._answer_json(404, {"error": "not found"})

    def _serve(self, path: str, content: bytes, payer: str) -> None:
        call, reply = self.server.services.exchange(path, content, payer=payer)
        if reply.content is None:
            self.server.ledger.enter(call)
            self.close_connection = True
            return
        if self._nobody_listens():
            self.server.ledger.enter(call.unheard())
            self.close_connection = True
            return
        # Noted first: whoever has the answer finds it in the ledger.
        number = self.server.ledger.enter(call)
        try:
            self._reply(reply)
            self.wfile.flush()
        except OSError:
            self.server.ledger.take_back(number, call)
            self.close_connection = True

    def _reply(self, reply: Reply) -> None:
        headers = {"Retry-After": str(reply.retry_after)} if reply.retry_after else {}
        self._answer(reply.status, reply.content or b"", reply.content_type, headers)

    def _nobody_listens(self) -> bool:
        """Whether the caller has gone: one that was killed, or whose patience was shorter than our latency."""
        poll = select.poll()
        poll.register(self.connection, select.POLLIN)
        if not poll.poll(0):
            return False
        try:
            return not self.connection.recv(1, socket.MSG_PEEK)
        except OSError:
            return True

    # Looked at and steered, from this machine only

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        asked = {name: values[-1] for name, values in parse_qs(address.query).items()}
        if address.path == "/healthz":
            self._answer_json(200, {"status": "ok"})
        elif not self._is_from_here():
            self._answer_json(404, {"error": "not found"})
        elif address.path == "/":
            self._page(200, pages.control(self.server.control, self.server.summary(), self.server.url))
        elif address.path == "/control.json":
            self._answer_json(200, self.server.control.as_json())
        elif address.path == "/ledger":
            self._answer_json(200, self.server.summary())
        else:
            self._listed(address.path, asked)

    def _listed(self, path: str, asked: Mapping[str, str]) -> None:
        ledger, services = self.server.ledger, self.server.services
        after = int(asked["after"]) if asked.get("after", "").isdecimal() else None
        if path in ("/mailbox", "/phone"):
            delivered = services.since("email" if path == "/mailbox" else "sms", after or 0)
            self._answer_json(200, {"messages": delivered["messages"]} if after is None else delivered)
        elif path == "/ledger/calls":
            self._lines(ledger.calls(after=after or 0))
        elif path == "/ledger/references" and asked.get("service") in SERVICES:
            self._lines(ledger.references(asked["service"], asked.get("reference")))
        elif path == "/payouts":
            self._lines(services.bank.payments())
        elif path == "/payouts/statement":
            content = services.bank.statement(asked.get("payer", ""), asked.get("day", "")).encode()
            self._answer(200, content, "text/csv; charset=utf-8", {})
        else:
            self._answer_json(404, {"error": "not found"})

    def do_PUT(self) -> None:
        content = self._content()
        if content is None:
            self._answer_json(413, {"error": "too large"})
        elif self.path != "/control.json" or not self._is_from_here():
            self._answer_json(404, {"error": "not found"})
        elif not self._is_our_own():
            self._answer_json(403, {"error": "asked by another site"})
        else:
            try:
                self.server.control.put(json.loads(content))
            except (Wrong, ValueError, RecursionError) as wrong:
                self._answer_json(422, {"error": str(wrong) if isinstance(wrong, Wrong) else "JSON is wanted"})
            else:
                self._answer_json(200, self.server.control.as_json())

    def _posted(self, content: bytes) -> None:
        """The page's own form."""
        if not self._is_from_here():
            self._answer_json(404, {"error": "not found"})
            return
        if not self._is_our_own():
            self._answer_json(403, {"error": "asked by another site"})
            return
        try:
            wanted, place = pages.wanted(parse_qs(content.decode(), keep_blank_values=True))
            self.server.control.put(wanted)
        except (Wrong, ValueError) as wrong:
            said = str(wrong) if isinstance(wrong, Wrong) else "The form cannot be read."
            self._page(422, pages.control(self.server.control, self.server.summary(), self.server.url, said))
        else:
            self._answer(303, b"", "text/plain", {"Location": f"/#{place}"})

    def _is_from_here(self) -> bool:
        """Asked on this machine, and by a name of this machine: no other site's name may lead here."""
        return ip_address(self.client_address[0]).is_loopback and self._is_own_address(self.headers.get("Host", ""))

    def _is_our_own(self) -> bool:
        """Not sent by a page of another site, as far as the browser tells; programs send none of these headers."""
        origin = self.headers.get("Origin")
        same = origin is None or origin.lower() == f"http://{self.headers.get('Host', '')}".lower()
        return same and self.headers.get("Sec-Fetch-Site", "same-origin") in ("same-origin", "none")

    def _is_own_address(self, host: str) -> bool:
        try:
            name, port = urlsplit(f"//{host}").hostname or "", urlsplit(f"//{host}").port
            return port in (None, self.server.server_port) and (name == "localhost" or ip_address(name).is_loopback)
        except ValueError:
            return False

    # The wire

    def _content(self) -> bytes | None:
        """The body; None if it has no length that is told, or too much of one."""
        length = self.headers.get("Content-Length", "")
        if length.isdecimal() and int(length) <= MAX_REQUEST_BYTES:
            return self.rfile.read(int(length))
        self.close_connection = True
        return None

    def _answer_json(self, status: int, body: Any) -> None:
        self._answer(status, json.dumps(body).encode(), "application/json", {})

    def _page(self, status: int, page: str) -> None:
        headers = {"Content-Security-Policy": pages.POLICY, "Referrer-Policy": "same-origin"}
        self._answer(status, page.encode(), "text/html; charset=utf-8", headers)

    def _lines(self, lines: Iterable[dict[str, Any]]) -> None:
        """JSON lines, sent as they are made; in chunks, so that half a list cannot be taken for the whole."""
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        encoded = (json.dumps(line).encode() + b"\n" for line in lines)
        while chunk := b"".join(islice(encoded, 500)):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        self.wfile.write(b"0\r\n\r\n")

    def _answer(self, status: int, content: bytes, content_type: str, headers: Headers) -> None:
        self.send_response(HTTPStatus(status))
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: one line a call is of no use to anybody."""
