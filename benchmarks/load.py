"""A small generator of load: connections that are kept alive, each sending its next request when its last is answered, or later."""

import selectors
import socket
import time
from collections.abc import Sequence
from typing import NamedTuple


class Post(NamedTuple):
    """A request as it goes over the wire, and where its answer must redirect to."""

    request: bytes
    location: bytes


class Answered(NamedTuple):
    """So many right answers, in so many seconds."""

    right: int
    seconds: float

    @property
    def per_s(self) -> float:
        return self.right / self.seconds


class WrongAnswer(Exception):
    """Something else than the redirect that was to come."""


def post_all(port: int, posts: Sequence[Post], *, connections: int, seconds: float) -> Answered:
    """Send these posts, no new one after so many seconds. Raises `WrongAnswer`."""
    waiting = iter(posts)
    right = 0
    start = time.perf_counter()
    with selectors.DefaultSelector() as selector:
        for _ in range(connections):
            if post := next(waiting, None):
                _send(selector, socket.create_connection(("127.0.0.1", port)), post)
        while selector.get_map():
            for key, _ in selector.select():
                connection, post = key.fileobj, key.data
                assert isinstance(connection, socket.socket)
                selector.unregister(connection)
                _check(connection.recv(65536), post)
                right += 1
                following = next(waiting, None) if time.perf_counter() - start < seconds else None
                if following:
                    _send(selector, connection, following)
                else:
                    connection.close()
    return Answered(right, time.perf_counter() - start)


def _send(selector: selectors.BaseSelector, connection: socket.socket, post: Post) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(post.request)
    selector.register(connection, selectors.EVENT_READ, post)


def _check(answer: bytes, post: Post) -> None:
    """A redirect has no body: its head, in one piece, is all there is."""
    status, _, head = answer.partition(b"\r\n")
    if b" 302 " not in status or b"\r\nLocation: " + post.location + b"\r\n" not in b"\r\n" + head:
        raise WrongAnswer(status.decode("latin-1"))


def ask_all(port: int, requests: Sequence[Sequence[bytes]], *, every: float, seconds: float) -> list[float]:
    """Send these requests, a list for each connection, one every so many seconds; return how long each answer took.

    A connection whose answer is late sends the next one at once, and that counts from when it should have been sent: whoever is
    kept waiting is not left out. No new one is sent after so many seconds. Raises `WrongAnswer` for any answer but 200.
    """
    waits: list[float] = []
    start = time.perf_counter()
    with selectors.DefaultSelector() as selector:
        lines = [_Line(port, each, start + every * i / len(requests)) for i, each in enumerate(requests)]
        while True:
            now = time.perf_counter()
            for line in lines:
                if line.is_idle and line.due <= now and now - start < seconds and line.waiting:
                    line.send()
                    selector.register(line.socket, selectors.EVENT_READ, line)
            if not selector.get_map() and (now - start >= seconds or not any(line.waiting for line in lines)):
                break
            dues = [line.due for line in lines if line.is_idle and line.waiting]
            for key, _ in selector.select(max(0.0, min(dues, default=now + 0.05) - now)):
                if key.data.receive():
                    selector.unregister(key.data.socket)
                    waits.append(time.perf_counter() - key.data.due)
                    key.data.due += every
    for line in lines:
        line.socket.close()
    return waits


class _Line:
    """A connection, what it is to send, and when the next is due."""

    def __init__(self, port: int, requests: Sequence[bytes], due: float) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.waiting = list(reversed(requests))
        self.due = due
        self.is_idle = True
        self._answer = b""

    def send(self) -> None:
        self._answer, self.is_idle = b"", False
        self.socket.sendall(self.waiting.pop())

    def receive(self) -> bool:
        """Take what has come; whether the answer is whole."""
        self._answer += self.socket.recv(65536)
        head, found, body = self._answer.partition(b"\r\n\r\n")
        if not found:
            return False
        status, _, fields = head.partition(b"\r\n")
        if b" 200 " not in status:
            raise WrongAnswer((status + body[:300]).decode("latin-1"))
        lengths = [int(line[15:]) for line in fields.split(b"\r\n") if line[:15].lower() == b"content-length:"]
        # Without a length it comes in chunks, of which the last one is empty.
        self.is_idle = len(body) >= lengths[0] if lengths else body.endswith(b"\r\n0\r\n\r\n")
        return self.is_idle
