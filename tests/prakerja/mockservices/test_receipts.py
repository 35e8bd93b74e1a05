"""Receipts, as they should come and as they should not, to a receiver who writes everything down."""

import base64
from collections import Counter

import pytest

from prakerja.mockservices import ReceiptFaults, serving
from prakerja.mockservices.receipts import course, secret_bytes, sign
from tests.prakerja.mockservices.conftest import DEAD_PHONE, SECRET, references, send_sms

BASE64 = base64.b64encode(SECRET).decode()
MANY = [str(n) for n in range(300)]


@pytest.fixture
def telling(receiver):
    """Serves with receipts that come at once, and these faults."""

    def serve(**faults):
        quick = {"sent_after_s": 0, "delivered_after_s": 0.1, **faults}
        options = {"receipts_to": receiver.url, "receipt_secret": "whsec_" + BASE64, "receipt_retries": (0.05, 0.05)}
        return serving(receipt_faults=ReceiptFaults(**quick), **options)

    return serve


def test_of_an_accepted_message_it_tells_that_it_was_sent_and_then_delivered(telling, receiver):
    with telling() as server:
        send_sms(server, "a")
        receiver.has_all_of(server)

        assert receiver.genuine == [("a", "sent"), ("a", "delivered")]
        assert references(server)["a"]["receipts"] == {
            "truth": "delivered",
            "due": ["sent", "delivered"],
            "acknowledged": ["sent", "delivered"],
        }


def test_a_dead_number_and_a_message_taken_before_have_no_receipts(telling, receiver):
    with telling() as server:
        send_sms(server, "a")
        send_sms(server, "a")
        send_sms(server, "b", to=DEAD_PHONE)

        assert len(receiver.has_all_of(server).genuine) == 2


def test_receipts_are_told_by_the_hundred_and_when_it_happened(telling, receiver):
    with telling() as server:
        for start in range(0, 1200, 300):
            send_sms(server, *(str(n) for n in range(start, start + 300)))
        receiver.has_all_of(server)

    assert all(len(call.receipts) <= 500 for call in receiver.calls)
    assert len(receiver.calls) < 50
    at = {(told["reference"], told["status"]): told["at"] for call in receiver.calls for told in call.receipts}
    assert len(at) == 2400
    assert all(at[str(n), "sent"] < at[str(n), "delivered"] for n in range(1200))
    assert at["0", "sent"].endswith("Z")


def test_some_messages_fail(telling, receiver):
    with telling(failed_percent=20) as server:
        send_sms(server, *MANY)
        said = Counter(status for _, status in receiver.has_all_of(server).genuine)

        assert said["delivered"] + said["failed"] == said["sent"] == 300
        assert 30 < said["failed"] < 90


def test_dropped_receipts_never_come_and_the_ledger_knows_which(telling, receiver):
    with telling(dropped_percent=10) as server:
        send_sms(server, *MANY)
        receiver.has_all_of(server)
        lines = references(server)

        assert 30 < 600 - len(receiver.genuine) < 90
        assert server.summary()["receipts"]["dropped"] == 600 - len(receiver.genuine)
        assert all(lines[reference]["receipts"]["truth"] == "delivered" for reference in MANY)
        came = Counter(reference for reference, _ in receiver.genuine)
        assert all(len(lines[reference]["receipts"]["acknowledged"]) == came[reference] for reference in MANY)


def test_doubled_receipts_come_twice(telling, receiver):
    with telling(doubled_percent=100) as server:
        send_sms(server, "a")
        server.receipts.send_now()

        assert Counter(receiver.has_all_of(server).genuine) == {("a", "sent"): 2, ("a", "delivered"): 2}


def test_late_receipts_come_after_all_others_or_when_they_are_sent_for(telling, receiver):
    with telling(late_percent=50, late_s=86_400) as server:
        send_sms(server, *MANY)
        waiting = server.receipts.outstanding()
        server.receipts.send_now()

        assert waiting > 200
        assert len(receiver.has_all_of(server).genuine) == 600
        assert server.summary()["receipts"]["late"] > 200


def test_out_of_order_the_end_comes_first(telling, receiver):
    with telling(out_of_order_percent=100) as server:
        send_sms(server, "a")

        assert receiver.has_all_of(server).genuine == [("a", "delivered"), ("a", "sent")]


def test_forged_receipts_say_the_contrary_under_every_kind_of_wrong_signature(telling, receiver):
    with telling(forged_percent=100) as server:
        for n in range(12):
            send_sms(server, str(n))
            server.receipts.send_now()
            receiver.has_all_of(server)
        forged = [call for call in receiver.calls if not call.genuine]

        assert {told["status"] for call in forged for told in call.receipts} == {"failed"}
        assert len(forged) >= 6
        assert {status for _, status in receiver.genuine} == {"sent", "delivered"}
        assert server.summary()["receipts"]["calls"]["forged"] == {"401": len(forged)}
        assert all(line["receipts"]["acknowledged"] == ["sent", "delivered"] for line in references(server).values())


def test_strangers_are_told_of_in_due_form(telling, receiver):
    with telling(unknown_percent=100) as server:
        send_sms(server, "a", "b")
        strangers = {reference for reference, _ in receiver.has_all_of(server).genuine} - {"a", "b"}

    assert len(strangers) == 2
    assert all(reference.startswith("unknown-") for reference in strangers)


def test_replayed_calls_are_the_same_to_the_byte(telling, receiver):
    with telling(replayed_percent=100) as server:
        send_sms(server, "a")
        receiver.has_all_of(server)

    times = Counter(call.webhook_id for call in receiver.calls)
    assert set(times.values()) == {2}
    assert all(call.genuine for call in receiver.calls)


def test_what_is_not_taken_is_told_again_under_the_same_id(telling, receiver):
    receiver.answers = [503, 500]
    with telling(delivered_after_s=1) as server:
        send_sms(server, "a")
        receiver.has_all_of(server)

        assert [receipt for call in receiver.calls[:3] for receipt in call.receipts] == receiver.calls[0].receipts * 3
        assert len({call.webhook_id for call in receiver.calls[:3]}) == 1
        assert server.summary()["receipts"]["calls"]["true"] == {"204": 2, "500": 1, "503": 1}
        assert references(server)["a"]["receipts"]["acknowledged"] == ["sent", "delivered"]


def test_what_is_never_taken_is_given_up(telling, receiver):
    receiver.answers = [503] * 6
    with telling(delivered_after_s=1) as server:
        send_sms(server, "a")
        receiver.has_all_of(server)

        assert server.summary()["receipts"]["given_up"] == 2
        assert references(server)["a"]["receipts"]["acknowledged"] == []


def test_a_receiver_that_is_not_there_is_tried_and_given_up(receiver):
    nowhere = "http://127.0.0.1:1/"
    quick = ReceiptFaults(sent_after_s=0, delivered_after_s=0)
    with serving(receipts_to=nowhere, receipt_secret=BASE64, receipt_faults=quick, receipt_retries=()) as server:
        send_sms(server, "a")
        receiver.has_all_of(server)

        assert server.summary()["receipts"]["given_up"] == 2


def test_the_same_seed_brings_the_same_receipts_whatever_the_order():
    faults = ReceiptFaults(failed_percent=30, dropped_percent=30, late_percent=30, late_s=9, doubled_percent=30)
    other = ReceiptFaults(failed_percent=30, dropped_percent=30, late_percent=30, late_s=9, doubled_percent=30, seed=1)

    courses = [course(reference, faults) for reference in MANY]

    assert courses == [course(reference, faults) for reference in reversed(MANY)][::-1]
    assert courses != [course(reference, other) for reference in MANY]


def test_the_signature_is_that_of_the_specification():
    # The example of the reference implementations of Standard Webhooks.
    secret = secret_bytes("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")

    signature = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')

    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("secret", ["", "whsec_", "not base64!", "whsec_ä"])
def test_a_secret_that_is_none_is_refused(secret):
    with pytest.raises(ValueError, match="base64"):
        secret_bytes(secret)
