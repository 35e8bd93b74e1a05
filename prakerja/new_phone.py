"""A code to a number that somebody wants to have: whoever types it has that phone in hand.

Its tries and sendings are counted apart from those of the number of before: under the registrant's id with a minus.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import NamedTuple

import orjson
from django.db import transaction

from foundation.sealing import SealBroken, seal, unseal
from foundation.sms import Sms
from foundation.work import enqueue
from incentives import notices
from registrations import letters
from verification import codes, signin
from verification.models import OneTimeCode


class Wanted(NamedTuple):
    """A number to which a code was sent, and which code."""

    #: E.164.
    phone: str
    challenge: str

    def __repr__(self) -> str:
        return "Wanted()"  # never a number: this ends up in logs


def send(registrant_id: int, phone: str) -> Wanted | None:
    """Send a code to this number; None when no code may be sent now (`wait`)."""
    with transaction.atomic():
        issued = codes.issue([-registrant_id])
        if not issued:
            return None
        code = issued[-registrant_id]
        person = signin.open_person(registrant_id)._replace(phone=phone)
        text: Sms = letters.code(person, reference=code.challenge, code=code.code)
        enqueue(notices.TEXTS, [0], notes=[text])
    return Wanted(phone, code.challenge)


def wait(registrant_id: int) -> int:
    """Seconds until the next code may be sent to a new number; 0: now."""
    return codes.sendable(-registrant_id).wait


def is_right(registrant_id: int, wanted: Wanted, code: str) -> bool:
    """Whether this is the code that was sent to that very number; it is used up then. In a transaction."""
    # Held, so that no code to another number takes its place between this look and the next.
    newest = OneTimeCode.objects.select_for_update().filter(pk=-registrant_id, challenge=wanted.challenge)
    return bool(newest) and codes.check([codes.Typed(-registrant_id, code)]) == [codes.Check.RIGHT]


def to_form(registrant_id: int, wanted: Wanted) -> str:
    """What a form carries of it, which nobody can read or change."""
    return urlsafe_b64encode(seal(orjson.dumps(tuple(wanted)), _place(registrant_id))).decode()


def from_form(registrant_id: int, text: str) -> Wanted | None:
    try:
        return Wanted._make(orjson.loads(unseal(urlsafe_b64decode(text.encode()), _place(registrant_id))))
    except (SealBroken, ValueError):
        return None


def _place(registrant_id: int) -> bytes:
    return b"new phone:%d" % registrant_id
