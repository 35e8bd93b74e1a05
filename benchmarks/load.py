"""A small generator of load: a few connections that are kept alive, each sending its next request when its last is answered."""

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
