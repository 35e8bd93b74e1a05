"""Decrees (SK): a canonical list of who is added and who removed, with a number, a hash and a signature; `docs/decree.md`.

What a decree does to people is written by `waves.naming`, `waves.revocation` and `waves.correction`, in one transaction with it.
"""

import base64
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import NamedTuple, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.conf import settings
from django.db import connection
from django.utils.translation import gettext as _

from foundation.sealing import SealBroken, mac, seal, unseal
from registrations.person import Person
from registrations.regions import WIB
from waves.draw import ticket_text
from waves.models import Decree, DecreeBlock, Draw
from waves.screening import NotNow

HEADER = "change;rank;card;ticket;name;province;sex;reason\n"
#: Names of a block.
BLOCK = 5000
#: The first decree has nobody before it.
NOTHING = "0" * 64

_DECREE_LOCK = 0x44454352  # "DECR"


class Signer(NamedTuple):
    """The key that signs."""

    key_id: str
    key: Ed25519PrivateKey

    @property
    def public_key(self) -> bytes:
        return self.key.public_key().public_bytes_raw()


def signer() -> Signer:
    """The first of `DECREE_KEYS` (`id:base64,id:base64`, 32 bytes each). Raises `NotNow` when there is none, or no key in it."""
    if not settings.DECREE_KEYS:
        if settings.PRODUCTION:
            raise NotNow(_("There is no key to sign decrees with: set DECREE_KEYS."))
        return Signer("demo", Ed25519PrivateKey.from_private_bytes(mac("decree", b"")))
    first = _signers()[0]
    if first is None:
        raise NotNow(_("The first of DECREE_KEYS is not like id:base64, with a key of 32 bytes."))
    return first


def _signers() -> list[Signer | None]:
    """All of `DECREE_KEYS`, in order; None: not of their form."""
    return [_signer(part) for part in settings.DECREE_KEYS.split(",")]


def _signer(text: str) -> Signer | None:
    key_id, _colon, key = text.strip().partition(":")
    if not 0 < len(key_id) <= 40:  # what a decree has room for
        return None
    try:
        return Signer(key_id, Ed25519PrivateKey.from_private_bytes(base64.b64decode(key, validate=True)))
    except ValueError:
        return None


class Named(NamedTuple):
    """Somebody in a decree's list."""

    registrant_id: int
    #: 0, and no ticket: not one of the draw's.
    rank: int
    ticket: int | None
    province: int
    sex: int
    name: str
    card: int = 0
    #: Why somebody is added or removed by other means than the draw.
    reason: str = ""

    def line(self, change: str) -> bytes:
        ticket = "" if self.ticket is None else ticket_text(self.ticket)
        words = (change, self.rank, self.card, ticket, _plain(self.name), self.province, self.sex, _plain(self.reason))
        return (";".join(map(str, words)) + "\n").encode()


def rank_in(line: bytes) -> int:
    return int(line.split(b";", 2)[1])


def _plain(text: str) -> str:
    return " ".join(text.replace(";", " ").split())


#: Of somebody whose name is to be opened: registrant, rank, ticket, province, sex, sealed data, reference.
Row: TypeAlias = tuple[int, int, int | None, int, int, memoryview, memoryview]


def named(rows: Sequence[Row]) -> list[Named]:
    """People with their names."""
    return [
        Named(id, rank, ticket, province, sex, Person.open(sealed, reference).name)
        for id, rank, ticket, province, sex, sealed, reference in rows
    ]


class Writer:
    """A decree in the making: opened, filled and finished in one transaction of the caller's. Raises `NotNow` without a key."""

    def __init__(self, kind: Decree.Kind, draw: Draw, *, by: str, at: datetime, corrects: Decree | None = None) -> None:
        self._signer = signer()
        self._kind, self._draw, self._by, self.at, self._corrects = kind, draw, by, at, corrects
        self._year = at.astimezone(WIB).year
        self._hash, self._totals, self.names, self._blocks = (
            hashlib.sha256(HEADER.encode()),
            Counter[tuple[int, int]](),
            0,
            0,
        )
        with connection.cursor() as cursor:
            # One decree at a time: numbers have no gaps, and each one names the one before it.
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_DECREE_LOCK])
            cursor.execute(
                "SELECT nextval('waves_decree_id_seq'), coalesce(max(number), 0) + 1 FROM waves_decree WHERE year = %s",
                [self._year],
            )
            self.id, self._number = cursor.fetchone()

    def add(self, change: str, people: Sequence[Named]) -> None:
        """More lines: these people are added (`+`) or removed (`-`)."""
        self.count(people)
        self.write(one.line(change) for one in people)

    def count(self, people: Sequence[Named]) -> None:
        """These people have a line each, which is written sooner or later."""
        self._totals.update((one.province, one.sex) for one in people)
        self.names += len(people)

    def write(self, lines: Iterator[bytes]) -> None:
        """The next lines of the list, of people who are counted besides."""
        while text := b"".join(islice(lines, BLOCK)):
            self._hash.update(text)
            DecreeBlock.objects.create(
                decree_id=self.id, block=self._blocks, sealed=seal(text, _place(self.id, self._blocks))
            )
            self._blocks += 1

    def finish(self, *, buy_by: datetime | None = None) -> Decree:
        """Sign what has been written."""
        decree = Decree(
            id=self.id,
            year=self._year,
            number=self._number,
            kind=self._kind,
            draw=self._draw,
            corrects=self._corrects,
            at=self.at,
            signer=" ".join(self._by.split()),
            names=self.names,
            totals=_by_province(self._totals),
            sha256=self._hash.digest(),
            key_id=self._signer.key_id,
            public_key=self._signer.public_key,
            buy_by=buy_by,
        )
        decree.statement = statement(decree)
        decree.signature = self._signer.key.sign(decree.statement.encode())
        decree.save(force_insert=True)
        return decree


def _by_province(totals: Counter[tuple[int, int]]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for (province, sex), people in sorted(totals.items()):
        found.setdefault(str(province), {})[str(sex)] = people
    return found


def statement(decree: Decree) -> str:
    """What is signed."""
    before = Decree.objects.filter(pk__lt=decree.pk).order_by("-pk").first()
    return (
        "prakerja-decree-1\n"
        f"number {decree.number}/{decree.year}\n"
        f"kind {decree.kind}\n"
        f"date {decree.at.astimezone(WIB).date().isoformat()}\n"
        f"wave {decree.draw.wave_id}\n"
        f"draw {decree.draw.attempt}\n"
        f"root {bytes(decree.draw.root).hex()}\n"
        f"corrects {_number(decree.corrects)}\n"
        f"signer {decree.signer}\n"
        f"names {decree.names}\n"
        f"sha256 {bytes(decree.sha256).hex()}\n"
        f"previous {hashlib.sha256(before.statement.encode()).hexdigest() if before else NOTHING}\n"
    )


def _number(decree: Decree | None) -> str:
    return f"{decree.number}/{decree.year}" if decree else "-"


def _place(decree_id: int, block: int) -> bytes:
    return b"decree:%d:%d" % (decree_id, block)


def lines(decree: Decree) -> Iterator[bytes]:
    """The canonical list, some thousand lines at a time."""
    yield HEADER.encode()
    for block in DecreeBlock.objects.filter(decree_id=decree.pk).order_by("block"):
        yield unseal(block.sealed, _place(decree.pk, block.block))


def faults(decree: Decree) -> list[str]:
    """What is not as it was signed: nothing, if all is well."""
    found = []
    if _hash_of_list(decree) != bytes(decree.sha256):
        found.append("the list is not the one that was hashed")
    if statement(decree) != decree.statement:
        found.append("the statement does not say what the decree says, or what was decreed before it")
    # An old key is taken out of the environment one day: then only the decree itself says what it was.
    if any(key and key.key_id == decree.key_id and key.public_key != bytes(decree.public_key) for key in _signers()):
        found.append("the key is not the office's of that id")
    try:
        Ed25519PublicKey.from_public_bytes(bytes(decree.public_key)).verify(
            bytes(decree.signature), decree.statement.encode()
        )
    except InvalidSignature:
        found.append("the signature is not the key's")
    return found


def _hash_of_list(decree: Decree) -> bytes | None:
    """As it is now; None: a part of it does not open any more."""
    digest = hashlib.sha256()
    try:
        for text in lines(decree):
            digest.update(text)
    except SealBroken:
        return None
    return digest.digest()


def with_hash(sha256: bytes) -> Decree | None:
    """The decree whose list has this hash."""
    return Decree.objects.filter(sha256=sha256).first()
