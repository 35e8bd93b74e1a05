"""What every adapter of e-mail must do."""

import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from django.core import mail as django_mail

from foundation.email import Delivery, DjangoEmail, Email, HttpEmail, Mail, MockEmail
from foundation.services import Unavailable
from prakerja.mockservices import Server


class Case(NamedTuple):
    email: Email
    #: The addresses that mails have been delivered to, in order.
    delivered: Callable[[], list[str]]


@pytest.fixture(params=["mock", "http", "http, chunks of 3", "django, SMTP"])
def case(request: pytest.FixtureRequest, mock_services: Server) -> Case:
    delivered: list[str] = []
    on_server = mock_services.services.delivered["email"]
    match request.param:
        case "mock":
            return Case(
                MockEmail(deliver_to=lambda _, mails: delivered.extend(mail.to for mail in mails)), lambda: delivered
            )
        case "django, SMTP":
            smtp: SmtpServer = request.getfixturevalue("smtp")
            return Case(smtp.email(), lambda: smtp.delivered)
        case "http":
            return Case(HttpEmail(mock_services.url, key="k"), lambda: [mail["to"] for mail in on_server])
        case _:
            return Case(HttpEmail(mock_services.url, chunk=3), lambda: sorted(mail["to"] for mail in on_server))


def mail(reference: str, to: str) -> Mail:
    return Mail(reference, to, "Konfirmasi", "Buka https://prakerja.example/surel/abc/")


def test_a_mail_is_sent_and_arrives(case: Case):
    assert case.email.send([mail("1", "siti@warga.example")]) == [Delivery.SENT]
    assert case.delivered() == ["siti@warga.example"]


def test_a_full_mailbox_and_an_unknown_address_are_told_apart_and_get_nothing(case: Case):
    outcomes = case.email.send([mail("1", "a@penuh.example"), mail("2", "b@hilang.example")])

    assert outcomes == [Delivery.MAILBOX_FULL, Delivery.ADDRESS_UNKNOWN]
    assert case.delivered() == []


def test_one_bad_address_does_not_stop_the_rest(case: Case):
    addresses = [f"{n:02}@hilang.example" if n % 4 == 1 else f"{n:02}@warga.example" for n in range(12)]

    outcomes = case.email.send([mail(str(n), to) for n, to in enumerate(addresses)])

    assert outcomes == [Delivery.ADDRESS_UNKNOWN if n % 4 == 1 else Delivery.SENT for n in range(12)]
    assert case.delivered() == [to for to in addresses if "warga" in to]


def test_no_mail_is_no_outcome(case: Case):
    assert case.email.send([]) == []


def test_a_mail_shows_nothing_personal():
    assert repr(mail("17", "siti@warga.example")) == "Mail(17)"


def test_any_back_end_of_django_can_be_used():
    email = DjangoEmail("django.core.mail.backends.locmem.EmailBackend")

    assert email.send([mail("1", "siti@warga.example")]) == [Delivery.SENT]
    assert django_mail.outbox[0].to == ["siti@warga.example"]
    assert django_mail.outbox[0].body.startswith("Buka")


# What a mail server may say


class SmtpServer(socketserver.ThreadingTCPServer):
    """Just enough SMTP; what it says of a recipient depends on the domain."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Smtp)
        self.delivered: list[str] = []
        self.answers = {"penuh.example": "552 5.2.2 mailbox full", "hilang.example": "550 5.1.1 no such user"}
        self.data_answer = "250 taken"

    def email(self) -> DjangoEmail:
        return DjangoEmail(host="127.0.0.1", port=self.server_address[1], timeout=2)


class _Smtp(socketserver.StreamRequestHandler):
    server: SmtpServer

    def say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())

    def handle(self) -> None:
        self.say("220 here")
        to = ""
        while line := self.rfile.readline().decode().strip():
            match line.split()[0].upper():
                case "RCPT":
                    to = line.partition("<")[2].partition(">")[0]
                    self.say(self.server.answers.get(to.partition("@")[2], "250 fine"))
                case "DATA":
                    self.say("354 go on")
                    while self.rfile.readline() != b".\r\n":
                        pass
                    if self.server.data_answer == "hang up":
                        return
                    if self.server.data_answer.startswith("2"):
                        self.server.delivered.append(to)
                    self.say(self.server.data_answer)
                case "QUIT":
                    self.say("221 bye")
                case _:
                    self.say("250 fine")


@pytest.fixture
def smtp() -> Iterator[SmtpServer]:
    with SmtpServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("552 mailbox full", Delivery.MAILBOX_FULL),
        ("550 no such user", Delivery.ADDRESS_UNKNOWN),
        ("552 5.3.4 message too big", Delivery.UNKNOWN),
        ("550 5.7.1 we take you for a spammer", Delivery.UNKNOWN),
        ("452 4.2.2 mailbox full for now", Delivery.UNKNOWN),
        ("451 come back later", Delivery.UNKNOWN),
    ],
)
def test_a_refused_recipient_is_a_no_only_when_it_is_about_the_mailbox(smtp: SmtpServer, answer: str, outcome: Delivery):
    smtp.answers["x.example"] = answer

    assert smtp.email().send([mail("1", "a@x.example"), mail("2", "b@y.example")]) == [outcome, Delivery.SENT]


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("552 5.2.2 mailbox full", Delivery.MAILBOX_FULL),
        ("550 we do not like what you write", Delivery.UNKNOWN),
        ("554 no", Delivery.UNKNOWN),
    ],
)
def test_a_refused_message_is_a_no_only_when_it_says_so(smtp: SmtpServer, answer: str, outcome: Delivery):
    smtp.data_answer = answer

    assert smtp.email().send([mail("1", "a@x.example")]) == [outcome]


def test_a_server_that_hangs_up_has_said_nothing(smtp: SmtpServer):
    smtp.data_answer = "hang up"

    with pytest.raises(Unavailable):
        smtp.email().send([mail("1", "a@x.example"), mail("2", "b@x.example")])


def test_a_server_that_hangs_up_later_has_spoken_for_those_before(smtp: SmtpServer):
    smtp.data_answer = "hang up"

    outcomes = smtp.email().send([mail("1", "a@hilang.example"), mail("2", "b@x.example"), mail("3", "c@x.example")])

    assert outcomes == [Delivery.ADDRESS_UNKNOWN, Delivery.UNKNOWN, Delivery.UNKNOWN]


def test_no_server_is_unavailable():
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]

    with pytest.raises(Unavailable):
        DjangoEmail(host="127.0.0.1", port=port).send([mail("1", "a@x.example")])


def test_a_batch_that_takes_too_long_is_left_for_the_next_one(smtp: SmtpServer):
    email = DjangoEmail(host="127.0.0.1", port=smtp.server_address[1], patience=-1)

    assert email.send([mail("1", "a@x.example")]) == [Delivery.UNKNOWN]


def test_what_is_no_address_stops_nobody_else_and_alone_is_our_error(smtp: SmtpServer):
    bad = mail("1", "a b@@x\n.example")

    assert smtp.email().send([bad, mail("2", "b@x.example")]) == [Delivery.UNKNOWN, Delivery.SENT]
    with pytest.raises(ValueError):  # noqa: PT011  what Django raises
        smtp.email().send([bad])
