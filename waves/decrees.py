"""Decrees: who was drawn is named in a canonical list, by number, hash and signature, and climbs; the others are told why not.

The list is UTF-8: a line that names the fields, and then one for each by rank; fields are parted by `;`, each line has its LF. What is
signed is a few lines that name number, wave, signer and the list's SHA-256: see `statement`.
"""

import base64
import hashlib
import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.conf import settings
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils.translation import gettext as _

from foundation.pg import array, copy_in
from foundation.sealing import mac, seal, unseal
from registrations import ladder
from registrations.funnel import WIB
from registrations.person import Person
from registrations.stages import DropOff, Stage
from waves.draw import ticket_text
from waves.models import Decree, DecreeBlock, Draw
from waves.screening import NotNow

HEADER = "rank;card;ticket;name;province;sex\n"
#: Names of a block.
BLOCK = 5000
#: The first digits of each card.
CARD_PREFIX = "8020"
#: Whose reason is written at a time.
BATCH = 20_000

_DECREE_LOCK = 0x44454352  # "DECR"


class Signer(NamedTuple):
    """The key that signs."""

    key_id: str
    key: Ed25519PrivateKey

    @property
    def public_key(self) -> bytes:
        return self.key.public_key().public_bytes_raw()


def signer() -> Signer:
    """The first of `DECREE_KEYS` (`id:base64,id:base64`, 32 bytes each). Raises `NotNow` when there is none."""
    if not settings.DECREE_KEYS:
        if settings.PRODUCTION:
            raise NotNow(_("There is no key to sign decrees with: set DECREE_KEYS."))
        return Signer("demo", Ed25519PrivateKey.from_private_bytes(mac("decree", b"")))
    key_id, _colon, key = settings.DECREE_KEYS.split(",")[0].strip().partition(":")
    return Signer(key_id, Ed25519PrivateKey.from_private_bytes(base64.b64decode(key, validate=True)))


class Named(NamedTuple):
    """Somebody whom the decree names."""

    registrant_id: int
    rank: int
    ticket: int
    province: int
    sex: int
    person: Person


def issue(draw: Draw, *, by: str, at: datetime) -> Decree:
    """Name all who were drawn: they are recipients, have a card, and stand on *selected*. One transaction. Raises `NotNow`."""
    key = signer()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_DECREE_LOCK])
        draw = Draw.objects.select_for_update().get(pk=draw.pk)
        _ready(draw)
        year = at.astimezone(WIB).year
        cursor.execute(
            "SELECT nextval('waves_decree_id_seq'), coalesce(max(number), 0) + 1 FROM waves_decree WHERE year = %s", [year]
        )
        id, number = cursor.fetchone()
        digest, totals = hashlib.sha256(HEADER.encode()), Counter[tuple[int, int]]()
        named = 0
        for block, people in enumerate(_drawn(draw)):
            cards = _new_cards(cursor, len(people))
            text = "".join(map(_line, people, cards))
            digest.update(text.encode())
            DecreeBlock.objects.create(decree_id=id, block=block, sealed=seal(text.encode(), _place(id, block)))
            lines = (f"{one.registrant_id}\t{card}\t{id}\t{one.rank}" for one, card in zip(people, cards, strict=True))
            copy_in(cursor, "waves_recipient", "registrant_id, card, decree_id, rank", lines)
            climbed = ladder.select(draw.wave_id, [one.registrant_id for one in people], at)
            if len(climbed) < len(people):
                raise NotNow(_("Somebody who was drawn cannot be selected any more: annul the draw."))
            totals.update((one.province, one.sex) for one in people)
            named += len(people)
        if named != draw.selected:
            raise NotNow(_("Somebody who was drawn cannot be selected any more: annul the draw."))
        text = statement(year, number, draw, by=by, at=at, names=named, sha256=digest.digest())
        return Decree.objects.create(
            id=id,
            year=year,
            number=number,
            draw=draw,
            at=at,
            signer=by,
            names=named,
            totals=_by_province(totals),
            sha256=digest.digest(),
            statement=text,
            key_id=key.key_id,
            public_key=key.public_key,
            signature=key.key.sign(text.encode()),
        )


def _ready(draw: Draw) -> None:
    if draw.annulled_at:
        raise NotNow(_("The draw was annulled."))
    if not draw.published_at:
        raise NotNow(_("The draw is not published."))
    if draw.decrees.exists():
        raise NotNow(_("A decree names those who were drawn already."))


def _drawn(draw: Draw) -> Iterator[list[Named]]:
    """All who were drawn, by rank, some thousand at a time."""
    last = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                """
                SELECT place.registrant_id, place.rank, ticket.number, registrant.province, registrant.sex,
                       data.sealed, uuid_send(registrant.reference)
                FROM waves_place place
                JOIN waves_ticket ticket ON ticket.draw_id = place.draw_id AND ticket.position = place.position
                JOIN registrations_registrant registrant ON registrant.id = place.registrant_id
                JOIN registrations_personaldata data ON data.registrant_id = place.registrant_id
                WHERE place.draw_id = %s AND place.rank > %s ORDER BY place.rank LIMIT %s
                """,
                [draw.pk, last, BLOCK],
            )
            rows = cursor.fetchall()
        if not rows:
            return
        yield [
            Named(id, rank, ticket, province, sex, Person.open(sealed, reference))
            for id, rank, ticket, province, sex, sealed, reference in rows
        ]
        last = rows[-1][1]


def _line(one: Named, card: int) -> str:
    name = " ".join(one.person.name.replace(";", " ").split())
    return f"{one.rank};{card};{ticket_text(one.ticket)};{name};{one.province};{one.sex}\n"


def _new_cards(cursor: CursorWrapper, count: int) -> list[int]:
    """So many card numbers that nobody has. Among millions of random ones some are the same."""
    cards: set[int] = set()
    while len(cards) < count:
        cards.update(random_card() for _ in range(count - len(cards)))
        cursor.execute("SELECT card FROM waves_recipient WHERE card = ANY (%s::bigint[])", [array(cards)])
        cards.difference_update(card for (card,) in cursor.fetchall())
    return list(cards)


def random_card() -> int:
    """16 digits: the programme's four, eleven random ones, and one that checks the others (Luhn, ISO/IEC 7812-1)."""
    digits = f"{CARD_PREFIX}{secrets.randbelow(10**11):011}"
    return int(digits + str(check_digit(digits)))


def check_digit(digits: str) -> int:
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[::-2])
    return -(doubled + sum(map(int, digits[-2::-2]))) % 10


def _by_province(totals: Counter[tuple[int, int]]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for (province, sex), people in sorted(totals.items()):
        found.setdefault(str(province), {})[str(sex)] = people
    return found


def statement(year: int, number: int, draw: Draw, *, by: str, at: datetime, names: int, sha256: bytes) -> str:
    """What is signed."""
    return (
        "prakerja-decree-1\n"
        f"number {number}/{year}\n"
        f"date {at.astimezone(WIB).date().isoformat()}\n"
        f"wave {draw.wave_id}\n"
        f"draw {draw.attempt}\n"
        f"root {bytes(draw.root).hex()}\n"
        f"signer {' '.join(by.split())}\n"
        f"names {names}\n"
        f"sha256 {sha256.hex()}\n"
    )


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
    digest = hashlib.sha256()
    for text in lines(decree):
        digest.update(text)
    if digest.digest() != bytes(decree.sha256):
        found.append("the list is not the one that was hashed")
    told = statement(
        decree.year,
        decree.number,
        decree.draw,
        by=decree.signer,
        at=decree.at,
        names=decree.names,
        sha256=bytes(decree.sha256),
    )
    if told != decree.statement:
        found.append("the statement does not say what the decree says")
    try:
        Ed25519PublicKey.from_public_bytes(bytes(decree.public_key)).verify(
            bytes(decree.signature), decree.statement.encode()
        )
    except InvalidSignature:
        found.append("the signature is not the key's")
    return found


def with_hash(sha256: bytes) -> Decree | None:
    """The decree whose list has this hash."""
    return Decree.objects.filter(sha256=sha256).first()


def announce(draw: Draw, *, at: datetime) -> int:
    """Tell the result: who was not selected has the reason from now on, and may join another wave. Return how many that are.

    One transaction. Raises `NotNow`.
    """
    told = 0
    with transaction.atomic(), connection.chunked_cursor() as cursor:
        draw = Draw.objects.select_for_update().get(pk=draw.pk)
        if draw.announced_at:
            raise NotNow(_("The result has been announced."))
        if not draw.decrees.exists():
            raise NotNow(_("No decree names those who were drawn yet."))
        cursor.execute(
            """
            SELECT application.registrant_id, coalesce(ineligible.reasons[1], %s)
            FROM waves_application application
            JOIN registrations_registrant registrant ON registrant.id = application.registrant_id
            LEFT JOIN waves_ineligible ineligible
                ON ineligible.registrant_id = application.registrant_id AND ineligible.wave_id = application.wave_id
            WHERE application.wave_id = %s AND registrant.stage = %s ORDER BY 1
            """,
            [DropOff.NOT_DRAWN, draw.wave_id, Stage.PHONE_VERIFIED],
        )
        while rows := cursor.fetchmany(BATCH):
            told += _tell(rows, at)
        Draw.objects.filter(pk=draw.pk).update(announced_at=at)
    return told


def _tell(rows: Sequence[tuple[int, int]], at: datetime) -> int:
    reasons = {id: DropOff(reason) for id, reason in rows}
    return ladder.drop_off(reasons, dict.fromkeys(reasons, at))
