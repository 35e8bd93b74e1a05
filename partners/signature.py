"""The older form of a partner's call: signed with HMAC-SHA1, as the programme's clients in seven languages do.

`signature` is the hexadecimal HMAC-SHA1, under the partner's sign key, of `client_code + timestamp + METHOD + path + body`, the
body as compact JSON. Many clients sign the compact body and send another one (Python's `json.dumps` puts blanks, some sort the
names): the signature counts when it fits the bytes, the bytes without blanks, or the same value written compactly in one of the
ways in which JSON libraries write. All of these are one value, so a changed body never fits.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

from django.db import connection

from partners import keys, parsing
from partners.models import Partner, Secret

TOLERANCE = timedelta(minutes=5)
#: As they are sent; in any case, with `_` or `-`.
HEADERS = ("client_code", "timestamp", "signature")


class Refused(Exception):
    """The call is not signed as it should be. The text may be told: it does not say which of code, key and body is wrong."""


class Call(Protocol):
    """A request, as Django has it."""

    @property
    def method(self) -> str | None: ...
    @property
    def path(self) -> str: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def body(self) -> bytes: ...


class Given(NamedTuple):
    """What a call says of itself."""

    client_code: str
    timestamp: str
    signature: str
    method: str
    path: str
    body: bytes


def given(call: Call) -> Given:
    """The parts of a call that its signature is about, as they came; what is missing is empty."""
    found = {name.lower().replace("-", "_"): value.strip() for name, value in call.headers.items()}
    code, timestamp, signature = (found.get(name, "") for name in HEADERS)
    return Given(code, timestamp, signature, (call.method or "").upper(), call.path, call.body)


def verify(call: Call) -> Partner:
    """Who has signed this call, within the last five minutes by the database's clock. Raises `Refused`."""
    said = given(call)
    if not (said.client_code and said.timestamp and said.signature):
        raise Refused("The headers client_code, timestamp and signature are needed.")
    partner, sign_keys, now = _known(said.client_code)
    if not _is_recent(said.timestamp, now):
        raise Refused("The timestamp is not of the last five minutes, in Unix seconds.")
    if partner is None or not _fits(said, sign_keys):
        raise Refused("The signature does not fit.")
    return partner


def sign(key: bytes, text: bytes) -> str:
    return hmac.digest(key, text, hashlib.sha1).hex()


def text(said: Given, body: bytes) -> bytes:
    """What is signed."""
    return f"{said.client_code}{said.timestamp}{said.method}{said.path}".encode() + body


def bodies(body: bytes) -> Iterator[bytes]:
    """The body as it came, and as it may have been when it was signed; the likeliest first."""
    yield body
    try:
        value = parsing.read(body)
    except parsing.Unreadable:
        return
    yield _BLANKS.sub(rb"\1", body)
    for ordered in (False, True):
        for ascii_only in (False, True):
            compact = json.dumps(value, separators=(",", ":"), ensure_ascii=ascii_only, sort_keys=ordered)
            yield compact.encode()
            yield compact.replace("/", "\\/").encode()


#: A string is kept as it is; blanks between are not.
_BLANKS = re.compile(rb'("(?:[^"\\]|\\.)*")|\s+')


def _known(code: str) -> tuple[Partner | None, list[bytes], datetime | None]:
    """The partner of this code, its live sign keys, and the database's clock: one question."""
    if "\0" in code:
        return None, [], None
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT statement_timestamp(), secret.sealed, {Partner.columns()}
            FROM partners_secret secret JOIN partners_partner partner ON partner.code = secret.partner_id
            WHERE secret.partner_id = %s AND secret.use = %s AND is_active ORDER BY secret.id DESC LIMIT %s
            """,
            [code, Secret.Use.SIGN, keys.LIVE],
        )
        found = cursor.fetchall()
    if not found:
        return None, [], None
    now, _, *partner = found[0]
    return Partner(*partner), [keys.opened(code, Secret.Use.SIGN, sealed) for _, sealed, *_ in found], now


def _is_recent(timestamp: str, now: datetime | None) -> bool:
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 12):
        return False
    return now is None or abs(now.timestamp() - int(timestamp)) <= TOLERANCE.total_seconds()


def _fits(said: Given, sign_keys: list[bytes]) -> bool:
    mac = said.signature.lower().encode()
    variants = dict.fromkeys(bodies(said.body))
    return any(hmac.compare_digest(sign(key, text(said, body)).encode(), mac) for key in sign_keys for body in variants)


# What the sandbox tells


class Explanation(NamedTuple):
    accepted: bool
    #: What is right and what is not, a sentence each.
    findings: list[str]
    #: The texts any of which may have been signed, the usual one first.
    expected: list[str]


def explain(said: Given, *, now: datetime) -> Explanation:
    """Why this call is accepted or not. For the sandbox only: it says more than a stranger may know."""
    partner, sign_keys, _ = _known(said.client_code)
    findings = list(_findings(said, partner, sign_keys, now))
    variants = list(dict.fromkeys(bodies(said.body)))
    accepted = partner is not None and not findings
    usual = variants[1:2] + variants[:1] + variants[2:]
    return Explanation(
        accepted=accepted,
        findings=findings or ["Everything is right: the signature fits."],
        expected=[text(said, body).decode(errors="replace") for body in usual],
    )


def _findings(said: Given, partner: Partner | None, sign_keys: list[bytes], now: datetime) -> Iterator[str]:
    for name, value in zip(HEADERS, said, strict=False):
        if not value:
            yield f"The header {name} is missing. A web server in between may drop names with an underscore: send client-code."
    if said.client_code and partner is None:
        yield "No partner of this client_code has a sign key."
    if said.timestamp and not _is_recent(said.timestamp, now):
        yield _time_finding(said.timestamp, now)
    if said.signature and partner and not _fits(said, sign_keys):
        yield _signature_finding(said, sign_keys)


def _time_finding(timestamp: str, now: datetime) -> str:
    seconds = int(now.timestamp())
    if timestamp.isdecimal() and len(timestamp) == 13:
        return f"The timestamp is in milliseconds: Unix seconds are wanted, now {seconds}."
    if not timestamp.isdecimal():
        return f"The timestamp is not in Unix seconds, which are now {seconds}."
    return (
        f"The timestamp is {abs(seconds - int(timestamp[:12]))} s away from our clock, {seconds}: at most 300 s are allowed."
    )


def _signature_finding(said: Given, sign_keys: list[bytes]) -> str:
    """The usual mistakes, tried one by one."""
    mac = said.signature.strip()
    if not re.fullmatch(r"[0-9a-fA-F]{40}", mac):
        form = f"{len(mac)} characters"
        if re.fullmatch(r"[0-9a-fA-F]{64}", mac):
            form = "64 hexadecimal digits: is it HMAC-SHA256?"
        elif re.fullmatch(r"[A-Za-z0-9+/]{27}=", mac):
            form = "base64"
        return f"The signature is {form}; 40 hexadecimal digits of HMAC-SHA1 are wanted."
    mistakes: dict[str, Any] = {
        "the path without the slash it begins with": said._replace(path=said.path.removeprefix("/")),
        "the path with a slash at its end": said._replace(path=said.path + "/"),
        "the path without the slash at its end": said._replace(path=said.path.removesuffix("/")),
        "the path without /api/v1": said._replace(path=said.path.removeprefix("/api/v1")),
        "the method in small letters": said._replace(method=said.method.lower()),
        "no method": said._replace(method=""),
        "no timestamp": said._replace(timestamp=""),
        "no client_code": said._replace(client_code=""),
        "no body": said._replace(body=b""),
    }
    for mistake, other in mistakes.items():
        if _fits(other, sign_keys):
            return f"The signature does not fit: {mistake} was signed."
    return "The signature does not fit any of the texts below: the sign key, or one of the parts, is another one."
