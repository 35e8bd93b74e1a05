"""Messages out: written in the transaction that causes them, sealed, sent by a worker, never lost."""

from uuid import uuid4

from foundation.email import Delivery, Email, Mail
from foundation.work import Claim, Item, enqueue, work_off


def post(mail: Mail) -> None:
    """Send this mail when the caller's transaction commits; asked again by the worker, it is the same message."""
    unique = mail._replace(reference=f"{mail.reference}-{uuid4()}")
    enqueue("messages", [0], notes=[unique])


def send_batch(*, email: Email, size: int) -> int:
    """Send one batch of posted mails; return how many were in hand. What the mail server knows nothing of is tried again."""
    return work_off("messages", size=size, service="email", act=lambda claim: _send(claim, email))


def _send(claim: Claim, email: Email) -> int:
    answers = email.send([_open(item) for item in claim.items])

    with claim.settling():
        claim.again([item for item, answer in zip(claim.items, answers, strict=True) if answer is Delivery.UNKNOWN])
    return len(claim.items)


def _open(item: Item) -> Mail:
    return Mail._make(item.note)
