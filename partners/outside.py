"""Calls to addresses that partners have named: to the public internet only, bounded in time and size, and no further than that.

The name is resolved once; every address that it has must be public; and the connection goes to the very address that was looked
at, so that a name that changes its mind in between leads nowhere. Redirects are not followed.
"""

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import NamedTuple
from urllib.parse import urlsplit

import certifi

CONNECT_SECONDS = 3.0
#: For the whole: to connect, to send and to be answered.
TOTAL_SECONDS = 8.0
#: What of an answer is read; nobody needs it.
MOST_BYTES = 16_384
LONGEST_URL = 500


class Undeliverable(Exception):
    """There was no answer; the text is one word that says why."""


class Target(NamedTuple):
    scheme: str
    host: str
    port: int
    path: str


Resolver = Callable[[str, int], list[str]]


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name. Raises `OSError`."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def target(url: str, *, sandbox: bool) -> Target:
    """The parts of an address that partners may name: https, without a password, and in the sandbox http as well.

    Raises `Undeliverable`.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        host = (parts.hostname or "").encode("idna").decode()
    except ValueError:
        raise Undeliverable("malformed") from None
    allowed = ("https", "http") if sandbox else ("https",)
    plain = url.isascii() and url.isprintable() and " " not in url and len(url) <= LONGEST_URL
    if parts.scheme not in allowed or not host or parts.username or parts.password or parts.fragment or not plain:
        raise Undeliverable("malformed")
    return Target(parts.scheme, host, port, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))


def inspect(url: str, *, sandbox: bool) -> None:
    """Refuse what would never be called, without asking anybody for a name. Raises `Undeliverable`."""
    host = target(url, sandbox=sandbox).host
    try:
        addresses = [str(ipaddress.ip_address(host))]
    except ValueError:
        return
    check(addresses, sandbox=sandbox)


def is_public(address: str) -> bool:
    """Whether the address is on the public internet: not ours, not next to us, and none of the special ones."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo and found.teredo[1])
        if inner:
            return is_public(str(inner))
        if found in _NAT64:
            return is_public(str(ipaddress.IPv4Address(found.packed[12:])))
    return found.is_global and not found.is_multicast


_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def reachable(where_to: Target, *, sandbox: bool, resolver: Resolver = resolve) -> str:
    """One address of the target that may be called; in the sandbox, this machine's own as well. Raises `Undeliverable`."""
    try:
        addresses = resolver(where_to.host, where_to.port)
    except (OSError, UnicodeError):
        raise Undeliverable("unknown host") from None
    check(addresses, sandbox=sandbox)
    return addresses[0]


def check(addresses: Sequence[str], *, sandbox: bool) -> None:
    """All of them may be called: one that may not is no accident. Raises `Undeliverable`."""
    for address in addresses:
        loopback = sandbox and ipaddress.ip_address(address.partition("%")[0]).is_loopback
        if not (loopback or is_public(address)):
            raise Undeliverable("not public")
    if not addresses:
        raise Undeliverable("unknown host")


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    sandbox: bool,
    resolver: Resolver = resolve,
    tls: ssl.SSLContext | None = None,
    seconds: float = TOTAL_SECONDS,
) -> int:
    """Post `body` and return the status of the answer. Raises `Undeliverable`."""
    where_to = target(url, sandbox=sandbox)
    address = reachable(where_to, sandbox=sandbox, resolver=resolver)
    deadline = time.monotonic() + seconds
    connection = http.client.HTTPConnection(where_to.host, where_to.port, timeout=seconds)
    try:
        plain = socket.create_connection((address, where_to.port), timeout=min(CONNECT_SECONDS, seconds))
    except TimeoutError:
        raise Undeliverable("timeout") from None
    except OSError:
        raise Undeliverable("no connection") from None
    # However slowly it is fed, the connection ends in time. By a hold of its own: TLS takes the socket over.
    hold = plain.dup()
    watch = threading.Timer(max(0, deadline - time.monotonic()), _cut, [hold])
    watch.daemon = True
    watch.start()
    try:
        plain.settimeout(max(0.1, deadline - time.monotonic()))
        connection.sock = _encrypted(plain, where_to.host, tls) if where_to.scheme == "https" else plain
        connection.request("POST", where_to.path, body, dict(headers))
        answer = connection.getresponse()
        answer.read(MOST_BYTES)
        if time.monotonic() >= deadline:  # what was cut off looks like what has ended
            raise Undeliverable("timeout")
        return answer.status
    except (OSError, http.client.HTTPException) as error:
        raise Undeliverable(_why(error, deadline)) from None
    finally:
        watch.cancel()
        connection.close()
        plain.close()
        hold.close()


def _encrypted(plain: socket.socket, host: str, tls: ssl.SSLContext | None) -> socket.socket:
    return (tls or _tls()).wrap_socket(plain, server_hostname=host)


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certifi.where())


def _cut(plain: socket.socket) -> None:
    with contextlib.suppress(OSError):
        plain.shutdown(socket.SHUT_RDWR)


def _why(error: Exception, deadline: float) -> str:
    if time.monotonic() >= deadline - 0.05 or isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, ssl.SSLError):
        return "tls"
    return "no answer"
