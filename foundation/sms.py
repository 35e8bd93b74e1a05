"""SMS as we need it: hand many to a gateway, learn of each whether the number is alive."""

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, ClassVar, NamedTuple, Protocol, TypeAlias

from foundation import mockworld
from foundation.http import JsonClient, echoed


class Sms(NamedTuple):
    """One text message to one phone."""

    #: Ours; differs within a batch, and the gateway takes the same reference for the same message.
    reference: str
    #: E.164.
    to: str
    text: str

    def __repr__(self) -> str:
        return f"Sms({self.reference})"  # never a number or a code: this ends up in logs


class Delivery(Enum):
    """What the gateway said of a message, in the words of the wire. Accepted is not yet delivered."""

    ACCEPTED = "accepted"
    NUMBER_DEAD = "number_dead"
    UNKNOWN = "unknown"


class SmsGateway(Protocol):
    def send(self, messages: Sequence[Sms]) -> list[Delivery]:
        """Send the messages; one outcome per message, in order. Raises `Unavailable` when nothing is known of any."""


Deliver: TypeAlias = Callable[[mockworld.Channel, Sequence[Sms]], None]


class MockSms:
    """Sends nothing; the number decides what comes of it (docs/mocks.md)."""

    mock: ClassVar = True

    def __init__(self, deliver: bool = True, deliver_to: Deliver = mockworld.deliver) -> None:
        self._deliver_to = deliver_to if deliver else None

    def send(self, messages: Sequence[Sms]) -> list[Delivery]:
        accepted, dead, is_dead = Delivery.ACCEPTED, Delivery.NUMBER_DEAD, mockworld.is_dead_number
        outcomes = [dead if is_dead(message[1]) else accepted for message in messages]
        if self._deliver_to:
            taken = [message for message, outcome in zip(messages, outcomes, strict=True) if outcome is accepted]
            self._deliver_to("sms", taken)
        return outcomes


class HttpSms:
    """A gateway that takes messages as JSON (docs/services.md); `client`: options of `JsonClient`."""

    def __init__(self, url: str, *, key: str = "", chunk: int = 100, **client: Any) -> None:
        self._client = JsonClient(url, key=key, **client)
        self._chunk = chunk

    def send(self, messages: Sequence[Sms]) -> list[Delivery]:
        return self._client.ask(messages, chunk=self._chunk, call=self._call, unknown=Delivery.UNKNOWN)

    def _call(self, messages: Sequence[Sms]) -> dict[str, Delivery]:
        answer = self._client.post("/sms/v1/messages", {"messages": [message._asdict() for message in messages]})
        return echoed(answer, under="results", reference="reference", word="status", words=_WORDS)


_WORDS = {outcome.value: outcome for outcome in Delivery if outcome is not Delivery.UNKNOWN}
