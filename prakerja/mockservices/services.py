"""The services: how each is asked and answers on the wire, and the trouble that it has just now."""

import json
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Any, NamedTuple, Protocol, TypeAlias

from foundation import email, sms
from foundation.email import Mail, MockEmail
from foundation.mockworld import KEPT, Channel, Message
from foundation.sms import MockSms, Sms
from incentives.payout import MockPayer, Order, Outcome, Query
from prakerja.mockservices.bank import Bank
from prakerja.mockservices.faults import Clock, Faults, Trouble
from prakerja.mockservices.ledger import Call, Ending, Ledger, Record
from prakerja.mockservices.nonsense import bend
from verification.dukcapil import Identity, MockDukcapil

Json: TypeAlias = dict[str, Any]

REFERENCES_KEPT = 100_000


class Gateway(Protocol):
    """What tells of the fate of the messages that were accepted."""

    def accepted(self, references: Sequence[str]) -> None: ...


@dataclass(frozen=True, slots=True)
class Form:
    """How one service is asked and answers; the records that it reads are tuples with the reference first."""

    service: str
    path: str
    asked_under: str
    answers_under: str
    reference: str
    word: str
    read: Callable[[Json], tuple[Any, ...]]
    judge: Callable[[Any], Sequence[Enum]]


class Asked(NamedTuple):
    """An order, of which only the reference is told."""

    reference: str


def _whole(order: Order) -> Order:
    if type(order.amount) is not int or order.amount <= 0:
        raise ValueError("money is a whole number")
    return order


def _nothing(asked: Sequence[Asked]) -> list[Outcome]:
    return [Outcome.NOT_FOUND] * len(asked)


_FORMS = (
    Form(
        "dukcapil",
        "/dukcapil/v1/match",
        "requests",
        "answers",
        "id",
        "verdict",
        lambda asked: Identity(asked["id"], asked["nik"], asked["kk"], date.fromisoformat(asked["birth_date"])),
        MockDukcapil().match,
    ),
    Form(
        "email",
        "/email/v1/messages",
        "messages",
        "results",
        "reference",
        "status",
        lambda asked: Mail(**asked),
        MockEmail(deliver=False).send,
    ),
    Form(
        "sms",
        "/sms/v1/messages",
        "messages",
        "results",
        "reference",
        "status",
        lambda asked: Sms(**asked),
        MockSms(deliver=False).send,
    ),
    Form(
        "payout",
        "/payout/v1/checks",
        "checks",
        "results",
        "reference",
        "verdict",
        lambda asked: Query(**asked),
        MockPayer().check,
    ),
    # What is said of orders, the bank of this server decides: it remembers them.
    Form(
        "payout",
        "/payout/v1/orders",
        "orders",
        "results",
        "reference",
        "status",
        lambda asked: _whole(Order(**asked)),
        MockPayer().pay,
    ),
    Form(
        "payout", "/payout/v1/outcomes", "orders", "results", "reference", "status", lambda asked: Asked(**asked), _nothing
    ),
)
#: By the path.
FORMS = {form.path: form for form in _FORMS}
_AT_THE_BANK = ("/payout/v1/orders", "/payout/v1/outcomes")
SERVICES = tuple(dict.fromkeys(form.service for form in _FORMS))


class Reply(NamedTuple):
    """What goes back to whoever called; None: the line is cut."""

    status: int
    content: bytes | None
    content_type: str = "application/json"
    retry_after: int | None = None


class MockServices:
    """The services and what they have delivered. Shared by the server's threads.

    `faults`: of all, or of each by its name. `gateway` is told of every SMS that was accepted for the first time.
    """

    def __init__(
        self,
        faults: Faults | Mapping[str, Faults],
        ledger: Ledger,
        *,
        clock: Clock = time.monotonic,
        gateway: Gateway | None = None,
        kept: int = KEPT,
    ) -> None:
        of = {name: faults if isinstance(faults, Faults) else faults.get(name, Faults()) for name in SERVICES}
        self.trouble = {name: Trouble(name, of[name], clock=clock) for name in SERVICES}
        self.bank = Bank()
        self.delivered: dict[Channel, deque[Json]] = {"email": deque(maxlen=kept), "sms": deque(maxlen=kept)}
        self._deliveries: dict[Channel, int] = {"email": 0, "sms": 0}
        self._ledger = ledger
        self._gateway = gateway
        self._lock = threading.Lock()
        self._references: OrderedDict[str, None] = OrderedDict()

    def exchange(self, path: str, content: bytes, *, payer: str = "") -> tuple[Call, Reply]:
        """Do what is asked, as the trouble of the moment lets it be done; what to note in the ledger, and what to answer.

        `payer`: whose address was asked, where several banks are one server.
        """
        form = FORMS[path]
        name = form.service
        judged = _judged(form, content)
        fate = self.trouble[name].fate(len(judged or ()))
        time.sleep(fate.wait)
        if judged is None and fate.status == 200:
            return Call(name, 400, "malformed"), Reply(400, b'{"error": "malformed"}')
        whole = [
            Record(record[0], self._ledger.digest([str(part) for part in record[1:]]), word, word != "unknown")
            for record, word in judged or ()
        ]
        if fate.status != 200:
            call = Call(name, fate.status, "refused", fate.above_quota, False, _untold(whole, len(whole)))
            return call, Reply(fate.status, b'{"error": "trouble"}', retry_after=fate.retry_after)
        if form.path in _AT_THE_BANK:
            words = self.bank.asked(payer, [record for record, _ in judged or ()])
            whole = [record._replace(truth=word, told=word != "unknown") for record, word in zip(whole, words, strict=True)]
        self._deliver(name, judged or ())
        ending: Ending = "whole"
        # Of what is unknown, a service says nothing.
        told = [record for record in whole if record.told]
        answer = {form.answers_under: [{form.reference: record.reference, form.word: record.truth} for record in told]}
        reply = Reply(200, json.dumps(answer).encode())
        if fate.hangs_up:
            ending, reply, whole = "hung_up", Reply(200, None), _untold(whole, len(whole))
        elif fate.nonsense is not None:
            bent = bend(answer, fate.nonsense)
            ending, reply = "bent", Reply(200, bent.content, bent.content_type)
            whole = _untold(whole, len(whole) if bent.spoiled is None else bent.spoiled)
        return Call(name, 200, ending, done=True, records=whole), reply

    def since(self, channel: Channel, after: int) -> Json:
        """What was delivered after the first so many messages, as far as it is kept, and how many there have been."""
        with self._lock:
            messages, last = list(self.delivered[channel]), self._deliveries[channel]
        return {"messages": messages[max(0, len(messages) - max(0, last - after)) :], "last": last}

    def _deliver(self, name: str, judged: Iterable[tuple[Any, str]]) -> None:
        if name == "email":
            self._keep("email", [mail for mail, word in judged if word == email.Delivery.SENT.value])
        elif name == "sms":
            self._deliver_once([message for message, word in judged if word == sms.Delivery.ACCEPTED.value])

    def _deliver_once(self, messages: Sequence[Sms]) -> None:
        """The same reference is the same message: it was delivered the first time."""
        with self._lock:
            new = [message for message in messages if message.reference not in self._references]
            self._references.update((message.reference, None) for message in new)
            while len(self._references) > REFERENCES_KEPT:
                self._references.popitem(last=False)
        self._keep("sms", new)
        if self._gateway:
            self._gateway.accepted([message.reference for message in new])

    def _keep(self, channel: Channel, messages: Sequence[Message]) -> None:
        with self._lock:
            self.delivered[channel].extend(message._asdict() for message in messages)
            self._deliveries[channel] += len(messages)


def _judged(form: Form, content: bytes) -> list[tuple[Any, str]] | None:
    """The records of a call, each with what the service says of it when it is well; None when the call is malformed."""
    try:
        asked = [form.read(entry) for entry in json.loads(content)[form.asked_under]]
        words = [outcome.value for outcome in form.judge(asked)]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return list(zip(asked, words, strict=True)) if all(isinstance(record[0], str) for record in asked) else None


def _untold(records: Sequence[Record], n: int) -> list[Record]:
    """The records, of which the first `n` were told nothing."""
    return [record._replace(told=False) for record in records[:n]] + list(records[n:])
