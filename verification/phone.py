"""The third step: whoever types the one-time code that was sent by SMS has shown that the number is theirs."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from django.db import transaction
from django.utils import timezone

from foundation.sms import Delivery, Sms, SmsGateway
from foundation.work import Claim, enqueue, work_off
from registrations import ladder, letters
from registrations.ownership import prove
from registrations.person import phone_digest
from registrations.stages import DropOff, Stage
from verification import codes, delivery
from verification.clock import Clock, instants
from verification.codes import Check, Code

Randbelow = Callable[[int], int]


class Outcome(Enum):
    """What typing a code came to, for somebody on the way up."""

    VERIFIED = "verified"
    WRONG = "wrong"
    #: Five wrong tries: this code is void, a new one may be asked for.
    USED_UP = "used up"
    #: Expired, used or void.
    NOT_LIVE = "not live"
    #: 15 tries in 24 hours, or 60 for life.
    TOO_MANY = "too many"
    #: The right code, but the number belongs to another registrant.
    TAKEN = "taken"


class Typed(NamedTuple):
    """Somebody typed this code; `at`: when, if not now."""

    registrant_id: int
    code: str
    at: datetime | None = None


def send_batch(*, sms: SmsGateway, size: int, clock: Clock = timezone.now, randbelow: Randbelow = secrets.randbelow) -> int:
    """Send their code to one batch of people whose identity is verified; return how many were in hand."""
    return work_off(
        "phone",
        size=size,
        service="sms",
        act=lambda claim: _send(claim, sms, clock, randbelow),
        set_aside=_set_aside,
    )


def _send(claim: Claim, sms: SmsGateway, clock: Clock, randbelow: Randbelow) -> int:
    # Above, too: there a code signs people in.
    people = ladder.standing([item.subject for item in claim.items], Stage.IDENTITY_VERIFIED, or_above=True)
    sent = _with_codes(claim, people, randbelow)
    asked = claim.of(sent.keys() & people.keys())

    # Asked outside any transaction, with the challenge for reference: asked again, it is the same message.
    messages = [_message(people[item.subject], sent[item.subject]) for item in asked]
    answers, carriers = delivery.send(sms, messages)

    with claim.settling():
        dead = [item.subject for item, answer in zip(asked, answers, strict=True) if answer is Delivery.NUMBER_DEAD]
        # Not of those who have changed their number meanwhile: another challenge has taken this one's place.
        dead = codes.void_sent([(id, sent[id].challenge) for id in dead])
        ladder.drop_off(dict.fromkeys(dead, DropOff.NUMBER_DEAD), instants(asked, clock))
        claim.again([item for item, answer in zip(asked, answers, strict=True) if answer is Delivery.UNKNOWN])
    delivery.note(messages, answers, carriers)
    return len(asked)


def _with_codes(claim: Claim, people: Mapping[int, ladder.Standing], randbelow: Randbelow) -> dict[int, Code]:
    """A code for each item, in the claim's hand before anything is sent: whatever happens, the same codes are sent again.

    Without a code stays who may not be sent one now, has been sent another one since, or has come by without.
    """
    sent = {item.subject: Code(*item.note) for item in claim.items if item.note}
    live = codes.renew([(id, code.challenge) for id, code in sent.items()]) if sent else set()
    sent = {id: code for id, code in sent.items() if id in live}
    wanting = [item.subject for item in claim.items if not item.note and _waits_for_a_code(people.get(item.subject))]
    with transaction.atomic():
        new = codes.issue(wanting, randbelow=randbelow) if wanting else {}
        if new:
            items = [item._replace(note=new.get(item.subject, item.note)) for item in claim.items]
            claim.hold([item for item in items if item.note])
    return sent | new


def _waits_for_a_code(standing: ladder.Standing | None) -> bool:
    return standing is not None and standing.stage == Stage.IDENTITY_VERIFIED


def _message(standing: ladder.Standing, code: Code) -> Sms:
    person = standing.open()
    return letters.code(person, reference=f"{standing.id}.{code.challenge}", code=code.code)


def type_codes(typed: Sequence[Typed], *, clock: Clock = timezone.now) -> list[Outcome]:
    """Move up whoever typed the right code, at most one code per registrant; one outcome each, in order."""
    with transaction.atomic():
        checks = codes.check([codes.Typed(entry.registrant_id, entry.code) for entry in typed])
        now = clock()
        at = {entry.registrant_id: entry.at or now for entry in typed}
        right = [entry.registrant_id for entry, check in zip(typed, checks, strict=True) if check is Check.RIGHT]
        people = ladder.standing(right, Stage.IDENTITY_VERIFIED)
        digests = {id: phone_digest(standing.open().phone) for id, standing in people.items()}
        _, taken = prove(Stage.PHONE_VERIFIED, digests, at, seen=people)
        used_up = [entry.registrant_id for entry, check in zip(typed, checks, strict=True) if check is Check.USED_UP]
        ladder.drop_off(dict.fromkeys(used_up, DropOff.ATTEMPTS_USED_UP), at)
    return [
        Outcome.TAKEN if entry.registrant_id in taken else _OUTCOMES[check]
        for entry, check in zip(typed, checks, strict=True)
    ]


_OUTCOMES = {
    Check.RIGHT: Outcome.VERIFIED,
    Check.WRONG: Outcome.WRONG,
    Check.USED_UP: Outcome.USED_UP,
    Check.NOT_LIVE: Outcome.NOT_LIVE,
    Check.TOO_MANY: Outcome.TOO_MANY,
}


def send_code(
    registrant_id: int, *, at: datetime | None = None, clock: Clock = timezone.now, randbelow: Randbelow = secrets.randbelow
) -> bool:
    """Send a registrant a new code, if the limits allow one now (`codes.sendable` tells when they do); whether they did.

    `at`: the instant that counts for what follows, if not now.
    """
    with transaction.atomic():
        new = codes.issue([registrant_id], randbelow=randbelow)
        if not new:
            return False
        ladder.clear_drop_off([registrant_id], Stage.IDENTITY_VERIFIED, at or clock())
        enqueue("phone", [registrant_id], instants=[at] if at else None, notes=[new[registrant_id]])
    return True


def change_number(
    registrant_id: int, phone: str, *, clock: Clock = timezone.now, randbelow: Randbelow = secrets.randbelow
) -> bool:
    """Replace the phone number of somebody whose number is not verified yet; False when it is, or is not asked for yet.

    The code that was sent to the old number no longer works. The limits on codes stay: they are the person's.
    """
    with transaction.atomic():
        # The code before the registrant: whoever types one at this moment takes the two in the same order.
        codes.void([registrant_id])
        with ladder.correcting(registrant_id, Stage.IDENTITY_VERIFIED, at=clock()) as standing:
            if standing is None:
                transaction.set_rollback(True)
                return False
            ladder.rewrite(standing, standing.open()._replace(phone=phone))
    send_code(registrant_id, clock=clock, randbelow=randbelow)
    return True


def _set_aside(subjects: Sequence[int]) -> None:
    now = timezone.now()
    ladder.drop_off(dict.fromkeys(subjects, DropOff.PHONE_REVIEW), dict.fromkeys(subjects, now))
