"""Redeeming: the provider's or the platform's own codes, once, and meeting by meeting; and the answer of the signed calls."""

from collections import Counter
from datetime import timedelta

import pytest

from tests.trainings.cast import BUYS, REDEEMS, by_code, cancel, complete, in_threads, make_buyers, make_training, redeem
from trainings import redeeming
from trainings.models import Purchase
from trainings.redeeming import Outcome, Use

pytestmark = pytest.mark.django_db

State = Purchase.State


def test_a_code_is_redeemed_once():
    [code] = make_buyers(1)

    assert redeem([code, code]) + redeem([code]) == [Outcome.COMMITTED, Outcome.ALREADY, Outcome.ALREADY]

    purchase = by_code(code)
    assert (purchase.state, purchase.redeemed_at, purchase.attended_at) == (State.REDEEMED, REDEEMS, None)


def test_the_first_meeting_redeems_and_each_next_one_is_noted_once():
    [code] = make_buyers(1)

    outcomes = redeem([code], sequence=1) + redeem([code, code], sequence=2, at=REDEEMS + timedelta(days=1))
    outcomes += redeem([code]) + redeem([code], sequence=999, at=REDEEMS + timedelta(days=2))

    done, already = Outcome.COMMITTED, Outcome.ALREADY
    assert outcomes == [done, done, already, already, done]
    purchase = by_code(code)
    assert (purchase.state, purchase.redeemed_at, purchase.attended_at) == (State.ATTENDING, REDEEMS, REDEEMS)
    assert redeeming.attended(purchase.meetings) == [1, 2, 999]


def test_several_meetings_may_be_told_in_one_call():
    [code, other] = make_buyers(2)

    uses = [Use(code, REDEEMS), Use(code, REDEEMS + timedelta(hours=1), 3), Use(other, REDEEMS, 10), Use(other, REDEEMS)]
    outcomes = redeeming.commit(uses, partner="nusa")

    assert outcomes == [Outcome.COMMITTED, Outcome.COMMITTED, Outcome.COMMITTED, Outcome.ALREADY]
    assert (by_code(code).redeemed_at, by_code(code).attended_at) == (REDEEMS, REDEEMS + timedelta(hours=1))
    assert (by_code(other).state, redeeming.attended(by_code(other).meetings)) == (State.ATTENDING, [10])


@pytest.mark.parametrize("sequence", [0, -1, 11, 998, 1000])
def test_there_are_meetings_1_to_10_and_999(sequence):
    [code] = make_buyers(1)

    assert redeem([code], sequence=sequence) == [Outcome.BAD_SEQUENCE]
    assert by_code(code).state == State.ISSUED


@pytest.mark.parametrize("code", ["", "A" * 16, "a" * 16, "{}", "A" * 15 + ",", "NULL", "\0"])
def test_an_unknown_code_is_unknown(code):
    make_buyers(1)

    assert redeem([code]) == [Outcome.UNKNOWN]
    assert redeeming.status(code, partner="nusa") is None


def test_another_partners_code_is_unknown():
    [code] = make_buyers(1)
    make_training("BUK-1", platform="bukalapak", provider="lentera")

    for stranger in ("bukalapak", "lentera", "nobody"):
        assert redeeming.commit([Use(code, REDEEMS)], partner=stranger) == [Outcome.UNKNOWN]
        assert redeeming.status(code, partner=stranger) is None

    assert redeeming.commit([Use(code, REDEEMS)], partner="tokopedia") == [Outcome.COMMITTED], "its platform may"


def test_a_cancelled_code_is_not_redeemed():
    [code] = make_buyers(1)
    cancel([code])

    assert redeem([code], sequence=1) == [Outcome.CANCELLED]
    assert redeeming.status(code, partner="nusa")["status"] == 2


def test_a_meeting_that_is_told_late_leaves_the_training_completed():
    [code] = make_buyers(1)
    redeem([code])
    complete([code])

    assert redeem([code], sequence=4) == [Outcome.COMMITTED]

    assert by_code(code).state == State.COMPLETED
    assert redeeming.attended(by_code(code).meetings) == [4]


def test_a_clock_that_goes_before_does_not_redeem_what_is_not_bought_yet():
    [code] = make_buyers(1)

    assert redeem([code], at=BUYS - timedelta(hours=1), sequence=1) == [Outcome.COMMITTED]

    assert by_code(code).redeemed_at == by_code(code).attended_at == BUYS


def test_the_answer_has_the_fields_that_integrators_read():
    [code] = make_buyers(1)
    before = redeeming.status(code, partner="nusa")
    redeem([code], sequence=2)

    after = redeeming.status(code, partner="nusa")

    reference = by_code(code).reference
    assert before == {
        "redeem_code": code,
        "course_code": "TOK-1",
        "invoice_code": reference,
        "schedule_code": "J01",
        "status": 0,
        "attendance_status": 0,
        "redeem_at": "",
        "dp_platform": "tokopedia",
        "schedule_start_end": "Senin-Jumat 19.00-21.00 WIB",
        "course_type": 2,
        "course_type_label": "Webinar",
        "course_learning_method": "online",
        "is_online_attendance": True,
        "sequence": 0,
    }
    changed = {name: value for name, value in after.items() if value != before[name]}
    assert changed == {"status": 1, "attendance_status": 1, "redeem_at": "2020-04-19T12:00:00+07:00", "sequence": 2}
    assert redeeming.status(code, partner="nusa", sequence=1)["attendance_status"] == 0


@pytest.mark.django_db(transaction=True)
def test_fifty_threads_redeem_a_code_once():
    [code] = make_buyers(1)

    outcomes = Counter(in_threads(50, lambda number: redeem([code])[0]))

    assert outcomes == {Outcome.COMMITTED: 1, Outcome.ALREADY: 49}
