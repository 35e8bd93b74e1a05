"""A registrant's personal data, open: only ever in memory, between unsealing and use."""

import json
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

from foundation.sealing import digest, seal, unseal


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who somebody is, as they told us. `repr` shows none of it: that ends up in logs."""

    name: str = field(repr=False)
    email: str = field(repr=False)
    nik: str = field(repr=False)
    kk: str = field(repr=False)
    birth_date: date = field(repr=False)
    #: E.164.
    phone: str = field(repr=False)
    #: The language in which to write to the person: `id` or `en`.
    language: str = "id"

    def seal(self, reference: UUID) -> bytes:
        """The sealed value that only opens as the data of the registration `reference`."""
        fields = [self.name, self.email, self.nik, self.kk, self.birth_date.isoformat(), self.phone, self.language]
        plain = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
        return seal(plain.encode(), _place(reference))

    @classmethod
    def open(cls, sealed: bytes | memoryview, reference: UUID) -> "Person":
        name, email, nik, kk, birth_date, phone, language = json.loads(unseal(sealed, _place(reference)))
        return cls(
            name=name,
            email=email,
            nik=nik,
            kk=kk,
            birth_date=date.fromisoformat(birth_date),
            phone=phone,
            language=language,
        )


def _place(reference: UUID) -> bytes:
    return b"person:" + reference.bytes


def email_digest(email: str) -> UUID:
    """Mailboxes differ in case by accident only: one person, one digest."""
    return digest("email", email.casefold())


def nik_digest(nik: str) -> UUID:
    return digest("nik", nik)


def phone_digest(phone: str) -> UUID:
    return digest("phone", phone)
