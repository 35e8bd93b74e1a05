"""What people are told of their money and their accounts: written in the transaction that causes it, sent by workers, never lost."""

from collections.abc import Mapping, Sequence
from uuid import uuid4

from foundation import sms as texts
from foundation.email import Mail
from foundation.sms import Sms, SmsGateway
from foundation.work import Claim, enqueue, work_off
from incentives import letters
from incentives.letters import Kind
from registrations import ladder
from registrations.person import Person
from registrations.stages import Stage

__all__ = ["Kind", "post", "send_texts", "tell"]

#: Where letters to single people wait (`foundation.outbox`), and short texts of ours.
MAILS, TEXTS = "messages", "account_notices"


def post(kind: Kind, reasons: Mapping[int, int]) -> None:
    """Mail these people, each with the gate that is the reason (0: none is known), when the caller's transaction commits."""
    if not reasons:
        return
    people = ladder.standing(list(reasons), Stage.PHONE_VERIFIED, or_above=True)
    tell([(kind, standing.open(), reasons[id]) for id, standing in people.items()], by_sms=False)


def tell(letters_to: Sequence[tuple[Kind, Person, int]], *, by_sms: bool) -> None:
    """Write to these people at the addresses given, by mail and, if wanted, by SMS."""
    written = [letters.write(kind, person, reason, reference=str(uuid4())) for kind, person, reason in letters_to]
    mails = [Mail(letter.reference, letter.email, letter.subject, letter.text) for letter in written]
    enqueue(MAILS, [0] * len(mails), notes=mails)
    if by_sms:
        notes = [Sms(letter.reference, letter.phone, letter.short) for letter in written]
        enqueue(TEXTS, [0] * len(notes), notes=notes)


def send_texts(*, sms: SmsGateway, size: int) -> int:
    """Send one batch of short texts; return how many were in hand."""
    return work_off(TEXTS, size=size, service="sms", act=lambda claim: _send(claim, sms))


def _send(claim: Claim, sms: SmsGateway) -> int:
    answers = sms.send([Sms._make(item.note) for item in claim.items])

    with claim.settling():
        claim.again([item for item, answer in zip(claim.items, answers, strict=True) if answer is texts.Delivery.UNKNOWN])
    return len(claim.items)
