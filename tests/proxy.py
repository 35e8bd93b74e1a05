"""A TCP proxy that misbehaves to order, in front of a server of the test's: it delays, cuts, resets and swallows."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class _Link:
    """One client's connection, and ours to the server."""

    client: socket.socket
    server: socket.socket
    #: Both ends stay open and hear nothing from each other any more, as when a router has forgotten them.
    swallowing: bool = False

    def close(self, *, reset: bool) -> None:
        for end in (self.client, self.server):
            if reset:
                with suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            with suppress(OSError):
                end.close()


@dataclass
class Proxy:
    """Listens on a free port of loopback; `target` is a unix socket, or a host and a port."""

    target: Path | tuple[str, int]
    #: Seconds that everything that passes is held back.
    delay: float = 0.0
    #: Whether new connections are let in, and whether they get through.
    refusing: bool = False
    swallowing: bool = False
    links: list[_Link] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, *, reset: bool = False) -> None:
        """End all connections, by a goodbye or a reset; new ones are let in."""
        for link in self.links:
            link.close(reset=reset)
        self.links.clear()

    def half_open(self, *, new_ones: bool = False) -> None:
        """Swallow whatever is sent on the connections there are, for good; and on new ones, until `heal`."""
        self.swallowing = new_ones
        for link in self.links:
            link.swallowing = True

    def heal(self) -> None:
        """New connections get through again; what was swallowed stays swallowed."""
        self.delay, self.refusing, self.swallowing = 0.0, False, False

    def close(self) -> None:
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.refusing:
                    client.close()
                    continue
                try:
                    link = _Link(client, self._connect(), self.swallowing)
                except OSError:
                    client.close()
                    continue
                self.links.append(link)
                for ends in ((link.client, link.server), (link.server, link.client)):
                    threading.Thread(target=self._pump, args=(link, *ends), daemon=True).start()

    def _connect(self) -> socket.socket:
        if isinstance(self.target, tuple):
            return socket.create_connection(self.target, timeout=5)
        server = socket.socket(socket.AF_UNIX)
        server.connect(str(self.target))
        return server

    def _pump(self, link: _Link, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                time.sleep(self.delay)
                if not link.swallowing:
                    sink.sendall(data)
        if not link.swallowing:
            link.close(reset=False)


@contextmanager
def proxied(target: Path | tuple[str, int]) -> Iterator[Proxy]:
    """A proxy that is gone at the end."""
    proxy = Proxy(target)
    try:
        yield proxy
    finally:
        proxy.close()
