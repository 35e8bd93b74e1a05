"""A registrant's personal data, open: only ever in memory, between unsealing and use."""

from datetime import date
from typing import NamedTuple
from uuid import UUID

import msgpack
import orjson

from foundation.sealing import digest, seal, unseal


class Person(NamedTuple):
    """Who somebody is, as they told us."""

    name: str
    email: str
    nik: str
    kk: str
    birth_date: date
    #: E.164.
    phone: str
    #: The language in which to write to the person: `id` or `en`.
    language: str = "id"

    def __repr__(self) -> str:
        return "Person()"  # none of it: this ends up in logs

    def seal(self, reference: UUID) -> bytes:
        """The sealed value that only opens as the data of the registration `reference`."""
        days, language = self.birth_date.toordinal(), self.language
        # Numbers as numbers: a third less than as JSON, of each of many millions.
        packed = msgpack.packb([self.name, self.email, int(self.nik), int(self.kk), days, int(self.phone), language])
        return seal(packed, b"person:" + reference.bytes)

    @classmethod
    def open(cls, sealed: bytes | memoryview, reference: bytes | memoryview) -> "Person":
        """What was sealed for the registration with these 16 bytes as reference."""
        packed = unseal(sealed, b"person:" + reference)
        if packed.startswith(b"["):  # as it was sealed before: JSON
            name, email, nik, kk, born, phone, language = orjson.loads(packed)
            return cls(name, email, nik, kk, date.fromisoformat(born), phone, language)
        name, email, nik_number, kk_number, days, phone_number, language = msgpack.unpackb(packed)
        nik, kk = str(nik_number).zfill(16), str(kk_number).zfill(16)
        return cls(name, email, nik, kk, date.fromordinal(days), f"+{phone_number}", language)


def email_digest(email: str) -> str:
    """Mailboxes differ in case by accident only: one person, one digest."""
    return digest("email", email.casefold())


def nik_digest(nik: str) -> str:
    return digest("nik", nik)


def kk_digest(kk: str) -> str:
    return digest("kk", kk)


def phone_digest(phone: str) -> str:
    return digest("phone", phone)
