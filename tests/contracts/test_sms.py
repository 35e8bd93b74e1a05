"""What every SMS gateway must do."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from foundation.failover import Failover
from foundation.sms import Delivery, HttpSms, MockSms, Sms, SmsGateway
from prakerja.mockservices import Server

HTTP = "foundation.sms.HttpSms"


class Case(NamedTuple):
    gateway: SmsGateway
    #: The references of the messages that have been delivered.
    delivered: Callable[[], list[str]]


@pytest.fixture(
    params=["mock", "http", "http, chunks of 3", "failover", "failover, the first one is gone", "failover, shared out"]
)
def case(request: pytest.FixtureRequest, mock_services: Server) -> Case:
    delivered: list[str] = []
    on_server = mock_services.services.delivered["sms"]
    match request.param:
        case "mock":
            gateway = MockSms(deliver_to=lambda _, messages: delivered.extend(sms.reference for sms in messages))
            return Case(gateway, lambda: delivered)
        case "http":
            return Case(HttpSms(mock_services.url, key="k"), lambda: [sms["reference"] for sms in on_server])
        case str(name) if name.startswith("failover"):
            request.getfixturevalue("db")
            gone = {"BACKEND": HTTP, "OPTIONS": {"url": "http://127.0.0.1:1"}}
            well: dict[str, Any] = {"BACKEND": HTTP, "OPTIONS": {"url": mock_services.url}}
            providers = [gone if "gone" in name else well, well]
            if "shared" in name:
                providers = [{**well, "WEIGHT": 1}, {**well, "WEIGHT": 2}]
            return Case(Failover(providers), lambda: sorted(sms["reference"] for sms in on_server))
        case _:
            return Case(HttpSms(mock_services.url, chunk=3), lambda: sorted(sms["reference"] for sms in on_server))


def sms(reference: str, to: str = "+628120012345678") -> Sms:
    return Sms(reference, to, "123456 adalah kode Kartu Prakerja Anda.")


@pytest.mark.parametrize("to", ["+62812001234567", "+6281234567890", "+628129", "+62812011111111"])
def test_a_message_is_accepted_and_arrives(case: Case, to: str):
    assert case.gateway.send([sms("a", to)]) == [Delivery.ACCEPTED]
    assert case.delivered() == ["a"]


def test_a_number_that_was_given_up_is_dead_and_gets_nothing(case: Case):
    assert case.gateway.send([sms("a", "+62812090000000")]) == [Delivery.NUMBER_DEAD]
    assert case.delivered() == []


def test_outcomes_come_one_each_and_in_order(case: Case):
    messages = [sms(f"{n:02}", "+62812099999999" if n % 4 == 1 else "+62812000000001") for n in range(12)]

    outcomes = case.gateway.send(messages)

    assert outcomes == [Delivery.NUMBER_DEAD if n % 4 == 1 else Delivery.ACCEPTED for n in range(12)]
    assert case.delivered() == [f"{n:02}" for n in range(12) if n % 4 != 1]


def test_no_message_is_no_outcome(case: Case):
    assert case.gateway.send([]) == []


def test_the_same_reference_is_the_same_message_to_a_gateway(mock_services: Server):
    gateway = HttpSms(mock_services.url)

    assert gateway.send([sms("a")]) == [Delivery.ACCEPTED]
    assert gateway.send([sms("a"), sms("b")]) == [Delivery.ACCEPTED, Delivery.ACCEPTED]

    assert [message["reference"] for message in mock_services.services.delivered["sms"]] == ["a", "b"]


def test_a_message_shows_nothing_personal():
    assert repr(sms("17")) == "Sms(17)"
