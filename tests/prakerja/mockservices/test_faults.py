"""Each fault, by itself; and that the same seed brings the same trouble."""

import time
from collections import Counter
from datetime import date

import pytest
import requests

from foundation.services import Unavailable
from foundation.sms import Delivery, HttpSms, Sms
from prakerja.mockservices import Faults, serving
from prakerja.mockservices.faults import Fate, Trouble
from tests.prakerja.mockservices.conftest import PHONE, references, send_sms, sums
from verification.dukcapil import HttpDukcapil, Identity, Verdict


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def fates(faults: Faults, n: int = 400, service: str = "sms") -> list[Fate]:
    trouble = Trouble(service, faults)
    return [trouble.fate(1) for _ in range(n)]


@pytest.mark.parametrize(
    ("faults", "befallen"),
    [
        (Faults(fail_percent=30), lambda fate: fate.status == 500),
        (Faults(too_many_percent=30), lambda fate: (fate.status, fate.retry_after) == (429, 1)),
        (Faults(wrong_schema_percent=30), lambda fate: fate.nonsense is not None),
        (Faults(hang_up_percent=30), lambda fate: fate.hangs_up),
        (Faults(latency_ms=50, slow_percent=30, slow_ms=200), lambda fate: fate.wait == 0.25),
    ],
    ids=["500", "429", "nonsense", "hung up", "slow"],
)
def test_a_chance_befalls_about_as_many_calls_as_it_says(faults, befallen):
    assert 90 < sum(map(befallen, fates(faults))) < 150


def test_a_well_service_is_well():
    assert set(fates(Faults())) == {Fate()}


def test_the_same_seed_brings_the_same_trouble_and_another_one_another():
    faults = Faults(fail_percent=20, too_many_percent=20, wrong_schema_percent=20, hang_up_percent=20)

    assert fates(faults) == fates(faults)
    assert fates(faults) != fates(Faults(fail_percent=20, too_many_percent=20, wrong_schema_percent=20, seed=1))
    assert fates(faults) != fates(faults, service="email")


def test_one_more_fault_leaves_the_others_where_they_were():
    def failed(faults: Faults) -> list[int]:
        return [n for n, fate in enumerate(fates(faults)) if fate.status == 500]

    assert failed(Faults(fail_percent=20)) == failed(Faults(fail_percent=20, wrong_schema_percent=50, slow_percent=50))


def test_an_outage_begins_and_ends_by_the_clock():
    clock = Clock()
    trouble = Trouble("sms", Faults(outages=[(60, 600), (900, 10)]), clock=clock)
    statuses = {}

    for second in (0, 59.9, 60, 659, 660, 905, 911):
        clock.now = 1000 + second
        fate = trouble.fate(1)
        statuses[second] = (fate.status, fate.retry_after)

    well = (200, None)
    assert statuses == {0: well, 59.9: well, 60: (503, 600), 659: (503, 1), 660: well, 905: (503, 5), 911: well}


def test_an_outage_can_be_begun_and_ended_by_hand():
    clock = Clock()
    trouble = Trouble("sms", Faults(), clock=clock)

    trouble.go_down(30)
    clock.now += 10
    assert (trouble.fate(1).status, trouble.is_down(), trouble.outage_left()) == (503, True, 20)
    trouble.go_down(0)
    assert (trouble.fate(1).status, trouble.is_down(), trouble.outage_left()) == (200, False, 0)


def test_a_flapping_service_is_up_and_down_in_turn_and_does_not_say_for_how_long():
    clock = Clock()
    trouble = Trouble("sms", Faults(flap_up_s=4, flap_down_s=2), clock=clock)
    fates = []

    for _ in range(12):
        fates.append(trouble.fate(1))
        clock.now += 1

    assert [fate.status for fate in fates] == [200, 200, 200, 200, 503, 503] * 2
    assert {fate.retry_after for fate in fates} == {None}


def test_flapping_begins_when_it_is_set():
    clock = Clock()
    trouble = Trouble("sms", Faults(), clock=clock)

    clock.now += 5
    trouble.change(Faults(flap_up_s=4, flap_down_s=2))

    assert trouble.fate(1).status == 200
    clock.now += 4
    assert trouble.fate(1).status == 503


def test_who_keeps_to_the_quota_never_hears_of_it():
    clock = Clock()
    trouble = Trouble("sms", Faults(quota_records=100), clock=clock)

    assert {trouble.fate(200).status} == {200}  # the burst: two seconds' worth
    for _ in range(50):
        clock.now += 0.5
        assert trouble.fate(50).status == 200


def test_above_the_quota_is_429_with_the_time_until_there_is_room_and_uses_nothing_up():
    clock = Clock()
    trouble = Trouble("sms", Faults(quota_records=100, quota_burst_s=1), clock=clock)
    trouble.fate(100)

    refused = [trouble.fate(100) for _ in range(5)]
    half = trouble.fate(50)
    clock.now += 1

    assert set(refused) == {Fate(429, 1, above_quota=True)}
    assert half.retry_after == 1
    assert trouble.fate(100).status == 200


def test_calls_have_a_quota_of_their_own():
    trouble = Trouble("sms", Faults(quota_calls=2, quota_burst_s=1), clock=Clock())

    assert [trouble.fate(500).status for _ in range(4)] == [200, 200, 429, 429]


def test_a_call_larger_than_the_quota_waits_for_all_of_it_and_is_then_owed():
    clock = Clock()
    trouble = Trouble("sms", Faults(quota_records=10, quota_burst_s=1), clock=clock)

    assert trouble.fate(30).status == 200
    clock.now += 1
    assert trouble.fate(1).retry_after == 2
    clock.now += 2
    assert trouble.fate(1).status == 200


def test_what_comes_above_the_quota_while_the_service_is_down_is_counted_too():
    trouble = Trouble("sms", Faults(quota_calls=1, quota_burst_s=1, outages=[(0, 60)]), clock=Clock())

    assert [(fate.status, fate.above_quota) for fate in (trouble.fate(1), trouble.fate(1))] == [(503, False), (503, True)]


def test_each_service_has_faults_of_its_own():
    with serving({"email": Faults(fail_percent=100)}) as server:
        mail = {"messages": [{"reference": "1", "to": "a@b.example", "subject": "s", "text": "t"}]}

        assert requests.post(server.url + "/email/v1/messages", json=mail, timeout=10).status_code == 500
        assert send_sms(server, "1").status_code == 200


def test_latency_is_waited_for():
    with serving(Faults(latency_ms=120)) as server:
        began = time.monotonic()
        send_sms(server, "1")

        assert time.monotonic() - began >= 0.12


def test_who_is_hung_up_on_hears_nothing_but_the_message_is_on_its_way():
    with serving(Faults(hang_up_percent=100)) as server:
        with pytest.raises(Unavailable):
            HttpSms(server.url).send([Sms("1", PHONE, "123456")])

        assert [sms["reference"] for sms in server.services.delivered["sms"]] == ["1"]


def test_through_nonsense_client_and_ledger_agree_on_every_record():
    taken = Counter()
    with serving(Faults(wrong_schema_percent=100)) as server:
        dukcapil = HttpDukcapil(server.url)
        for call in range(60):
            asked = [Identity(f"{call}.{n}", "1", "2", date(1990, 1, 1)) for n in range(3)]
            try:
                verdicts = dukcapil.match(asked)
            except Unavailable:
                continue
            pairs = zip(asked, verdicts, strict=True)
            taken.update(identity.reference for identity, verdict in pairs if verdict is Verdict.NIK_UNKNOWN)
        told = {reference for reference, line in references(server, "dukcapil").items() if line["told"]}

    assert 0 < len(taken) < 180
    assert told == set(taken)


def test_outcomes_of_a_well_service_are_those_of_the_mock_in_process():
    with serving() as server:
        messages = [Sms("1", PHONE, "1"), Sms("2", "+62812090000001", "2")]

        assert HttpSms(server.url).send(messages) == [Delivery.ACCEPTED, Delivery.NUMBER_DEAD]


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b'{"messages": 7}',
        b'{"messages": [{"reference": 1, "to": "+62", "text": "t"}]}',
        b'{"messages": [{"reference": "1", "to": 62, "text": "t"}]}',
        b'{"messages": [{"reference": "1", "to": "+62", "text": "t", "more": ""}]}',
    ],
)
def test_what_is_asked_in_another_form_is_malformed(content):
    with serving() as server:
        assert requests.post(server.url + "/sms/v1/messages", data=content, timeout=10).status_code == 400
        assert sums(server)["calls_by_ending"] == {"malformed": 1}
