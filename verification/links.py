"""The first step: a link is mailed, and whoever opens it has shown that the mailbox is theirs.

A link carries `registrant | revision | issued` and their MAC, so nothing of it is stored: it works once because it moves
somebody up from the first rung only, for one address because a correction changes the revision, and for a day.
"""

import base64
import struct
from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from hmac import compare_digest
from typing import NamedTuple

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from foundation.email import Delivery, Email, Mail
from foundation.sealing import mac
from foundation.work import Claim, enqueue, work_off
from registrations import ladder, letters
from registrations.ownership import prove
from registrations.person import email_digest
from registrations.stages import DropOff, Stage
from verification.clock import Clock, instants

#: How long a link works, in seconds.
LINK_LIFE = 24 * 3600

_FORM = struct.Struct(">QHI")
_MAC_BYTES = 16

_FAILED = {Delivery.MAILBOX_FULL: DropOff.MAILBOX_FULL, Delivery.ADDRESS_UNKNOWN: DropOff.ADDRESS_UNKNOWN}


class Link(NamedTuple):
    """What a token says, when it is genuine."""

    registrant_id: int
    revision: int
    #: Seconds since 1970, by the database's clock.
    issued: int

    @property
    def token(self) -> str:
        body = _FORM.pack(*self)
        return _written(body + mac("link", body)[:_MAC_BYTES])

    @classmethod
    def read(cls, token: str) -> "Link | None":
        """The link with this token, or None when the token is forged."""
        try:
            value = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except ValueError:
            return None
        body, signature = value[: _FORM.size], value[_FORM.size :]
        if len(body) != _FORM.size or not compare_digest(signature, mac("link", body)[:_MAC_BYTES]):
            return None
        # Base64 has more than one way to write the same.
        return cls._make(_FORM.unpack(body)) if _written(value) == token else None


def _written(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


class Outcome(Enum):
    """What opening a link came to."""

    VERIFIED = "verified"
    #: The mailbox had been verified before, by this registrant.
    ALREADY = "already"
    #: Older than a day, or for an address that has been corrected since.
    EXPIRED = "expired"
    #: The address belongs to another registrant, who was first.
    TAKEN = "taken"
    FORGED = "forged"


class Opened(NamedTuple):
    """Somebody opened the link with this token; `at`: when, if not now."""

    token: str
    at: datetime | None = None


def send_batch(*, email: Email, size: int, clock: Clock = timezone.now) -> int:
    """Mail their link to one batch of new registrants; return how many were in hand."""
    return work_off("email", size=size, service="email", act=lambda claim: _send(claim, email, clock), set_aside=_set_aside)


def _send(claim: Claim, email: Email, clock: Clock) -> int:
    _date(claim)
    people = ladder.standing([item.subject for item in claim.items], Stage.REGISTERED)
    asked = claim.of(people)

    # Asked outside any transaction: a slow mail server must not hold our rows.
    answers = email.send([_mail(people[item.subject], item.note) for item in asked])

    with claim.settling():
        failed, unknown = {}, []
        for item, answer in zip(asked, answers, strict=True):
            if answer is Delivery.UNKNOWN:
                unknown.append(item)
            elif answer is not Delivery.SENT:
                failed[item.subject] = _FAILED[answer]
        ladder.drop_off(failed, instants(asked, clock), seen=people)
        claim.again(unknown)
    return len(asked)


def _date(claim: Claim) -> None:
    """Note with each registrant when the link is issued, before it is mailed: whoever asks again sends the same mail.

    An answer that takes half a link's life does not count: the link is issued anew.
    """
    now = int(claim.at.timestamp())
    dated = [item if item.note and now - item.note < LINK_LIFE // 2 else item._replace(note=now) for item in claim.items]
    if dated != claim.items:
        claim.hold(dated)


def _mail(standing: ladder.Standing, issued: int) -> Mail:
    person = standing.open()
    link = Link(standing.id, standing.revision, issued)
    return letters.verify_email(
        person, reference=f"{standing.id}.{standing.revision}.{issued}", url=f"{settings.BASE_URL}/surel/{link.token}/"
    )


def open_links(opened: Sequence[Opened], *, clock: Clock = timezone.now) -> list[Outcome]:
    """Move up whoever opened their link in time; one outcome per link, in order. The identity check follows by itself."""
    links = [Link.read(entry.token) for entry in opened]
    with transaction.atomic():
        people = ladder.standing(sorted({link.registrant_id for link in links if link}), Stage.REGISTERED)
        oldest = _database_time() - LINK_LIFE
        outcomes: dict[int, Outcome] = {}
        proven: dict[int, datetime] = {}
        now = clock()
        for entry, link in zip(opened, links, strict=True):
            if link and link.registrant_id in people:
                fresh = link.issued >= oldest and link.revision == people[link.registrant_id].revision
                if fresh:
                    proven[link.registrant_id] = entry.at or now
                else:
                    outcomes[link.registrant_id] = Outcome.EXPIRED
        digests = {id: email_digest(people[id].open().email) for id in proven}
        climbed, taken = prove(Stage.EMAIL_VERIFIED, digests, proven, seen=people)
        climbing = [id for id in proven if id in climbed]
        own_time = any(entry.at for entry in opened)
        enqueue("identity", climbing, instants=[proven[id] for id in climbing] if own_time else None)
    outcomes |= dict.fromkeys(climbed, Outcome.VERIFIED) | dict.fromkeys(taken, Outcome.TAKEN)
    return [_outcome(link, outcomes) for link in links]


def _outcome(link: Link | None, outcomes: dict[int, Outcome]) -> Outcome:
    if link is None:
        return Outcome.FORGED
    return outcomes.get(link.registrant_id, Outcome.ALREADY)


def change_address(registrant_id: int, email: str, *, clock: Clock = timezone.now) -> bool:
    """Replace an address that is not verified yet and mail a link there; False when it is. Links to the old one die."""
    with ladder.correcting(registrant_id, Stage.REGISTERED, at=clock()) as standing:
        if standing is None:
            return False
        ladder.rewrite(standing, standing.open()._replace(email=email))
        enqueue("email", [registrant_id])
    return True


def _database_time() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())::bigint")
        return int(cursor.fetchone()[0])


def _set_aside(subjects: Sequence[int]) -> None:
    now = timezone.now()
    ladder.drop_off(dict.fromkeys(subjects, DropOff.EMAIL_REVIEW), dict.fromkeys(subjects, now))
