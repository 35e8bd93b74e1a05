"""Where the mock services deliver: to the simulation's inhabitants, or onto the /mock/ page. Never outside a demo or a test.

Inhabitants live at `@warga.example` and behind phone numbers +62 8PP 0 NNNNNNNN. Their messages wait as parcels of work in
the queues `mailbox` and `handset`, with the note `[reference, to, link]` or `[reference, to, code]`; what is sent to
anybody else is kept, sealed, for whoever plays with the demo: the newest 500 a channel.
"""

import json
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

from foundation.models import MockMessage
from foundation.sealing import seal, unseal
from foundation.work import enqueue

Channel: TypeAlias = Literal["email", "sms"]

KEPT = 500

_PLACE = b"mock"
_DOMAIN = "@warga.example"
_LINK = re.compile(r"https?://\S+")
_CODE = re.compile(r"(?<!\d)\d{6}(?!\d)")


class Message(Protocol):
    """What a mail and an SMS have in common."""

    @property
    def reference(self) -> str: ...
    @property
    def to(self) -> str: ...
    @property
    def text(self) -> str: ...
    def _asdict(self) -> dict[str, Any]: ...


class Delivered(NamedTuple):
    """A message as the /mock/ page shows it; an SMS has no subject."""

    to: str
    subject: str
    text: str
    at: datetime


def deliver(channel: Channel, messages: Sequence[Message]) -> None:
    """Deliver the messages, in the caller's transaction if there is one."""
    if channel == "email":
        at_home = [message for message in messages if message.to.lower().endswith(_DOMAIN)]
        notes = [_note(message, _LINK) for message in at_home]
        subjects = [int(message.reference) if message.reference.isdecimal() else 0 for message in at_home]
        enqueue("mailbox", subjects, notes=notes, hint=False)
    else:
        at_home = [message for message in messages if is_inhabitants_number(message.to)]
        enqueue("handset", [0] * len(at_home), notes=[_note(message, _CODE) for message in at_home], hint=False)
    if len(at_home) < len(messages):
        inhabitants = {message.to for message in at_home}
        _keep(channel, [message for message in messages if message.to not in inhabitants])


def messages(channel: Channel) -> list[Delivered]:
    """What has been delivered to others than inhabitants, newest first."""
    rows = MockMessage.objects.filter(channel=channel).order_by("-pk")[:KEPT]
    return [Delivered(at=row.at, **json.loads(unseal(row.sealed, _PLACE))) for row in rows]


def is_inhabitants_number(phone: str) -> bool:
    return len(phone) == 15 and phone[6] == "0" and phone.startswith("+628")


def is_dead_number(phone: str) -> bool:
    """The inhabitants' numbers from +62 8PP 0 90000000 on have been given up."""
    return len(phone) == 15 and phone[6] == "0" and phone[7] == "9" and phone.startswith("+628")


def _note(message: Message, what: re.Pattern[str]) -> tuple[str, str, str]:
    found = what.search(message.text)
    return message.reference, message.to, found[0] if found else ""


def _keep(channel: Channel, messages: Sequence[Message]) -> None:
    MockMessage.objects.bulk_create(
        MockMessage(channel=channel, sealed=seal(json.dumps(_shown(message)).encode(), _PLACE))
        for message in messages[-KEPT:]
    )
    of_channel = MockMessage.objects.filter(channel=channel)
    if oldest_kept := of_channel.order_by("-pk").values_list("pk", flat=True)[KEPT - 1 : KEPT].first():
        of_channel.filter(pk__lt=oldest_kept).delete()


def _shown(message: Message) -> dict[str, str]:
    return {"to": message.to, "subject": message._asdict().get("subject", ""), "text": message.text}
