"""The ledger is the oracle: its sums are exact, and it holds nothing personal."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from prakerja.mockservices import Faults, serving
from prakerja.mockservices.ledger import Call, Ledger, Record
from tests.prakerja.mockservices.conftest import DEAD_PHONE, PHONE, references, send_sms, sums
from tests.processes import wait_until


def test_sums_are_exact():
    with serving() as server:
        send_sms(server, "1", "2")
        send_sms(server, "3", to=DEAD_PHONE)
        send_sms(server, "2", "4")
        requests.post(server.url + "/sms/v1/messages", data=b"{}", timeout=10)

        found = sums(server)

    assert found == {
        "calls": 4,
        "records": 5,
        "calls_by_status": {"200": 3, "400": 1},
        "calls_by_ending": {"whole": 3, "malformed": 1},
        "answers": {"accepted": 4, "number_dead": 1},
        "calls_above_quota": 0,
        "records_above_quota": 0,
        "references": 4,
        "forgotten": 0,
        "asked_again": 1,
        "done_again": 1,
        "with_several_texts": 0,
        "asked_times": {"1": 3, "2": 1},
        "done_times": {"1": 3, "2": 1},
        "texts": {"1": 4},
    }


def test_sums_are_exact_when_many_ask_at_once():
    faults = Faults(fail_percent=20, too_many_percent=10, wrong_schema_percent=20, quota_calls=500)
    with serving(faults) as server, ThreadPoolExecutor(8) as callers:
        answers = list(callers.map(lambda n: send_sms(server, f"{n % 50}.a", f"{n % 50}.b").status_code, range(200)))
        found = sums(server)

    assert found["calls_by_status"] == {str(status): answers.count(status) for status in sorted(set(answers))}
    assert (found["calls"], found["records"], found["references"]) == (200, 400, 100)
    assert found["asked_times"] == {"4": 100}
    assert sum(found["answers"].values()) == 400
    assert sum(int(times) * n for times, n in found["done_times"].items()) == 2 * answers.count(200)


def test_of_each_reference_it_knows_the_truth_and_what_was_told():
    with serving(Faults(fail_percent=100)) as server:
        send_sms(server, "1", to=DEAD_PHONE)
        refused = references(server)["1"]
        requests.put(server.url + "/control.json", json={"all": None}, timeout=10)
        send_sms(server, "1", to=DEAD_PHONE)
        told = references(server, reference="1")["1"]

    assert (refused["truth"], refused["told"], refused["asked"], refused["done"]) == ("number_dead", None, 1, 0)
    assert (told["truth"], told["told"], told["asked"], told["done"], told["answered"]) == (
        "number_dead",
        "number_dead",
        2,
        1,
        1,
    )


def test_another_text_under_the_same_reference_is_seen_and_the_last_one_counts():
    with serving() as server:
        send_sms(server, "1", text="123456")
        send_sms(server, "1", text="654321", to=DEAD_PHONE)
        line = references(server)["1"]
        found = sums(server)

    assert [text["truth"] for text in line["texts"]] == ["accepted", "number_dead"]
    assert (line["truth"], line["asked"]) == ("number_dead", 2)
    assert (found["with_several_texts"], found["texts"]) == (1, {"2": 1})


def test_a_text_that_comes_back_is_no_third_one():
    with serving() as server:
        for text in ("a", "b", "a"):
            send_sms(server, "1", text=text)

        assert [text["asked"] for text in references(server)["1"]["texts"]] == [1, 2]


@pytest.mark.parametrize(
    ("faults", "answers", "done"),
    [
        (Faults(fail_percent=100), {"500": 2}, {}),
        (Faults(too_many_percent=100), {"429": 2}, {}),
        (Faults(outages=[(0, 60)]), {"503": 2}, {}),
        (Faults(hang_up_percent=100), {"hung_up": 2}, {"1": 2}),
    ],
    ids=["500", "429", "503", "hung up"],
)
def test_who_was_told_nothing_stands_under_the_reason(faults, answers, done):
    with serving(faults) as server:
        try:
            send_sms(server, "1", "2")
        except requests.ConnectionError:
            assert "hung_up" in answers

        assert sums(server)["answers"] == answers
        assert sums(server)["done_times"] == done


def test_calls_and_records_above_the_quota_are_counted():
    with serving(Faults(quota_records=2, quota_burst_s=1)) as server:
        statuses = [send_sms(server, f"{n}.1", f"{n}.2").status_code for n in range(3)]
        found = sums(server)

    assert statuses == [200, 429, 429]
    assert (found["calls_above_quota"], found["records_above_quota"]) == (2, 4)


def test_a_caller_who_has_gone_was_told_nothing():
    with serving(Faults(latency_ms=300)) as server:
        body = json.dumps({"messages": [{"reference": "1", "to": PHONE, "text": "1"}]}).encode()
        with socket.create_connection(server.server_address[:2]) as caller:
            head = f"POST /sms/v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            caller.sendall(head.encode() + body)
        wait_until(lambda: sums(server)["calls"] == 1, seconds=5, what="the call in the ledger")

        assert sums(server)["answers"] == {"lost": 1}
        assert (references(server)["1"]["told"], references(server)["1"]["done"]) == (None, 1)


def test_an_answer_that_did_not_get_through_is_taken_back():
    ledger = Ledger(["sms"])
    call = Call("sms", 200, "whole", done=True, records=[Record("1", "d", "accepted", True)])

    ledger.enter(call)
    ledger.take_back(ledger.enter(call), call)

    [line] = ledger.references("sms")
    assert (line["answered"], line["done"]) == (1, 2)
    assert ledger.summary()["services"]["sms"]["answers"] == {"accepted": 1, "lost": 1}
    assert [call["ending"] for call in ledger.calls()] == ["whole", "lost"]


def test_the_newest_calls_can_be_asked_for():
    with serving(Faults(too_many_percent=100)) as server:
        for n in range(3):
            send_sms(server, str(n))
        answer = requests.get(server.url + "/ledger/calls?after=1", timeout=10)
        calls = [json.loads(line) for line in answer.text.splitlines()]

    assert [(call["call"], call["service"], call["status"], call["records"]) for call in calls] == [
        (2, "sms", 429, 1),
        (3, "sms", 429, 1),
    ]


def test_the_file_has_a_line_for_each_call_and_is_only_added_to(tmp_path):
    file = tmp_path / "ledger.jsonl"
    for _ in range(2):
        with serving(ledger_file=file) as server:
            send_sms(server, "1", "2")
            # Nothing is held back: this is while it runs.
            lines = [json.loads(line) for line in file.read_text().splitlines()]

    assert [set(line) >= {"call", "at", "s", "service", "status", "ending", "of"} for line in lines] == [False, True] * 2
    assert [record[0::2] for record in lines[-1]["of"]] == [["1", "accepted"], ["2", "accepted"]]
    assert file.stat().st_mode & 0o077 == 0


def test_it_holds_nothing_personal(tmp_path):
    file = tmp_path / "ledger.jsonl"
    with serving(ledger_file=file) as server:
        send_sms(server, "1", text="123456 adalah kode Anda")
        shown = requests.get(server.url + "/ledger/references?service=sms", timeout=10).text
        page = requests.get(server.url + "/", timeout=10).text

    for kept in (file.read_text(), shown, page):
        assert PHONE[1:] not in kept
        assert "adalah" not in kept


def test_digests_of_two_runs_cannot_be_compared():
    assert Ledger(["sms"]).digest(["1"]) != Ledger(["sms"]).digest(["1"])


def test_mail_is_delivered_again_and_that_is_counted():
    with serving() as server:
        mail = {"messages": [{"reference": "1", "to": "a@b.example", "subject": "s", "text": "t"}]}
        for _ in range(2):
            requests.post(server.url + "/email/v1/messages", json=mail, timeout=10)

        assert sums(server, "email")["done_again"] == 1


def test_what_was_delivered_can_be_followed():
    with serving(kept=3) as server:
        send_sms(server, *"abcd")
        first = requests.get(server.url + "/phone?after=0", timeout=10).json()
        send_sms(server, "e")
        then = requests.get(server.url + f"/phone?after={first['last']}", timeout=10).json()

    assert ([sms["reference"] for sms in first["messages"]], first["last"]) == (list("bcd"), 4)
    assert ([sms["reference"] for sms in then["messages"]], then["last"]) == (["e"], 5)
