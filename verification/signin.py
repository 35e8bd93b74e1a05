"""Signing in without a password: by a mailed link, or by SMS code once the phone is verified.

What is asked for is answered alike whether or not there is somebody: the difference goes to the mailbox or the phone only.
"""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from foundation import allowance, outbox
from registrations import drafts, intake, letters
from registrations.models import Draft, EmailOwner, PersonalData, PhoneOwner
from registrations.ownership import owner_of
from registrations.person import Person, email_digest, phone_digest
from verification import codes, phone
from verification.models import SignInLink

LINK_LIFE = timedelta(hours=1)


class SignedIn(NamedTuple):
    """Whom a link was for: a registrant, or a sign-up to go on with."""

    registrant_id: int | None
    draft_id: UUID | None


def ask_by_email(email: str) -> None:
    """Mail a link to whoever this address belongs to: to sign in, to go on signing up, or to verify the address first."""
    digest, now = email_digest(email), timezone.now()
    with transaction.atomic():
        sent = SignInLink.objects.filter(email_digest=digest, sent_at__gt=now - timedelta(days=1))
        if allowance.wait(list(sent.order_by("sent_at").values_list("sent_at", flat=True)), now):
            return
        if owner := owner_of(EmailOwner, digest):
            outbox.post(letters.sign_in(open_person(owner), url=_link(digest, registrant_id=owner)))
        elif (
            draft := Draft.objects.filter(email_digest=digest, changed_at__gt=now - drafts.LIFE)
            .order_by("-changed_at")
            .first()
        ):
            if draft.registrant_id:
                _link(digest, registrant_id=draft.registrant_id)  # counts as sent; the mailed link is the one that verifies
                intake.send_link(draft.registrant_id, at=now)
            elif not draft.finished:
                language = drafts.answers(draft).get("language", "id")
                outbox.post(letters.go_on(email, language, url=_link(digest, draft_id=draft.id)))


def _link(digest: str, *, registrant_id: int | None = None, draft_id: UUID | None = None) -> str:
    token = secrets.token_urlsafe(24)
    SignInLink.objects.create(token_hash=_hash(token), email_digest=digest, registrant_id=registrant_id, draft_id=draft_id)
    return f"{settings.BASE_URL}/masuk/{token}/"


def use_link(token: str) -> SignedIn | None:
    """Whom this link signs in, the first time within its hour; None ever after, and for a forged one."""
    now = timezone.now()
    fresh = SignInLink.objects.filter(token_hash=_hash(token), used_at=None, sent_at__gt=now - LINK_LIFE)
    if not fresh.update(used_at=now):
        return None
    link = SignInLink.objects.get(pk=_hash(token))
    return SignedIn(link.registrant_id, link.draft_id)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def ask_by_phone(number: str) -> str:
    """Send a code to this number if it is a verified one, within the limits; the number's digest, with which the code is used."""
    digest = phone_digest(number)
    owner = owner_of(PhoneOwner, digest)
    if owner is not None:
        phone.send_code(owner)
    return digest


def use_code(digest: str, code: str) -> int | None:
    """Whom this code signs in, if it is the right one of whoever has the number with this digest now."""
    # Of a number that is nobody's, the same is asked: nobody's id never has a right code.
    owner = owner_of(PhoneOwner, digest) or 0
    return owner if codes.check([codes.Typed(owner, code)]) == [codes.Check.RIGHT] else None


def open_person(registrant_id: int) -> Person:
    """The registrant's own data, for a page that only they see."""
    data = PersonalData.objects.select_related("registrant").get(pk=registrant_id)
    return Person.open(data.sealed, data.registrant.reference.bytes)


def forget(now: datetime) -> int:
    """Delete links that no limit counts any more; return how many."""
    return SignInLink.objects.filter(sent_at__lt=now - timedelta(days=1)).delete()[0]
