"""E-mail as we need it: send many, learn of each whether the mailbox took it."""

import re
import smtplib
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum
from typing import Any, ClassVar, NamedTuple, Protocol, TypeAlias

from django.core.mail import EmailMessage, get_connection

from foundation import mockworld
from foundation.http import JsonClient, echoed
from foundation.services import Unavailable


class Mail(NamedTuple):
    """One message to one person, as plain text."""

    #: Ours; differs within a batch and stays the same when the message is sent again.
    reference: str
    to: str
    subject: str
    text: str

    def __repr__(self) -> str:
        return f"Mail({self.reference})"  # never an address or a link: this ends up in logs


class Delivery(Enum):
    """What became of a mail, in the words of the wire."""

    SENT = "sent"
    MAILBOX_FULL = "mailbox_full"
    ADDRESS_UNKNOWN = "address_unknown"
    UNKNOWN = "unknown"


class Email(Protocol):
    def send(self, mails: Sequence[Mail]) -> list[Delivery]:
        """Send the mails; one outcome per mail, in order. Raises `Unavailable` when nothing is known of any."""


Deliver: TypeAlias = Callable[[mockworld.Channel, Sequence[Mail]], None]


class MockEmail:
    """Sends nothing; the domain decides what comes of it (docs/mocks.md)."""

    mock: ClassVar = True

    def __init__(self, deliver: bool = True, deliver_to: Deliver = mockworld.deliver) -> None:
        self._deliver_to = deliver_to if deliver else None

    def send(self, mails: Sequence[Mail]) -> list[Delivery]:
        outcome, sent = _MAGIC_DOMAINS.get, Delivery.SENT
        outcomes = [outcome(mail[1].rpartition("@")[2].lower(), sent) for mail in mails]
        if self._deliver_to:
            self._deliver_to("email", [mail for mail, outcome in zip(mails, outcomes, strict=True) if outcome is sent])
        return outcomes


_MAGIC_DOMAINS = {"penuh.example": Delivery.MAILBOX_FULL, "hilang.example": Delivery.ADDRESS_UNKNOWN}


class HttpEmail:
    """A provider that takes mails as JSON (docs/services.md); `client`: options of `JsonClient`."""

    def __init__(self, url: str, *, key: str = "", chunk: int = 100, **client: Any) -> None:
        self._client = JsonClient(url, key=key, **client)
        self._chunk = chunk

    def send(self, mails: Sequence[Mail]) -> list[Delivery]:
        return self._client.ask(mails, chunk=self._chunk, call=self._call, unknown=Delivery.UNKNOWN)

    def _call(self, mails: Sequence[Mail]) -> dict[str, Delivery]:
        answer = self._client.post("/email/v1/messages", {"messages": [mail._asdict() for mail in mails]})
        return echoed(answer, under="results", reference="reference", word="status", words=_WORDS)


_WORDS = {outcome.value: outcome for outcome in Delivery if outcome is not Delivery.UNKNOWN}


class DjangoEmail:
    """An SMTP server, or whatever else Django has a back end for: one connection a batch, one mail after the other.

    `timeout`: seconds for each exchange with the server; `patience`: seconds after which the rest of a batch is left for
    the next one, because the lease on it does not last for ever. `options` go to the back end.
    """

    def __init__(
        self,
        backend: str = "django.core.mail.backends.smtp.EmailBackend",
        *,
        timeout: float = 10.0,
        patience: float = 15.0,
        **options: Any,
    ) -> None:
        self._options = {"backend": backend, "timeout": timeout, **options}
        self._patience = patience

    def send(self, mails: Sequence[Mail]) -> list[Delivery]:
        connection = get_connection(fail_silently=False, **self._options)
        outcomes = [Delivery.UNKNOWN] * len(mails)
        trouble: Exception | None = None
        last_start = time.monotonic() + self._patience
        try:
            connection.open()
            for place, mail in enumerate(mails):
                if time.monotonic() > last_start:
                    break
                try:
                    EmailMessage(mail.subject, mail.text, to=[mail.to], connection=connection).send()
                    outcomes[place] = Delivery.SENT
                except smtplib.SMTPRecipientsRefused as refusal:
                    [(code, text)] = refusal.recipients.values()
                    outcomes[place] = _outcome(code, text)
                except smtplib.SMTPDataError as refusal:
                    outcomes[place] = _outcome(0, refusal.smtp_error)  # the bare code may be about what we write
                except smtplib.SMTPSenderRefused:
                    pass  # about us, not about the recipient
                except ValueError as error:
                    trouble = error  # not an address, or not a subject: an error of ours, in this mail only
        except (smtplib.SMTPException, OSError) as error:
            # The type only: a server's text may quote the address.
            trouble = Unavailable(type(error).__name__)
        finally:
            _close(connection)
        if trouble and all(outcome is Delivery.UNKNOWN for outcome in outcomes):
            raise trouble from None
        return outcomes


def _outcome(code: int, text: bytes | str) -> Delivery:
    """What an SMTP refusal means: the enhanced code decides (RFC 3463), the bare code where there is none."""
    enhanced = re.match(rb"\s*([245]\.\d{1,3}\.\d{1,3})\b", text.encode() if isinstance(text, str) else text)
    meaning = enhanced[1].decode() if enhanced else str(code)
    return _SMTP.get(meaning, Delivery.UNKNOWN)


_SMTP = {
    "552": Delivery.MAILBOX_FULL,
    "5.2.2": Delivery.MAILBOX_FULL,
    "550": Delivery.ADDRESS_UNKNOWN,
    "5.1.1": Delivery.ADDRESS_UNKNOWN,
}


def _close(connection: Any) -> None:
    with suppress(smtplib.SMTPException, OSError):  # what was sent is sent
        connection.close()
