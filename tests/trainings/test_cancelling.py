"""Cancelling: money and seat go back, and who has no training left is held by that reason."""

from collections import Counter

import pytest

from registrations import funnel
from registrations.models import Registrant
from registrations.stages import DropOff, Stage
from tests.trainings.cast import (
    LATER,
    buy,
    by_code,
    cancel,
    complete,
    in_threads,
    make_buyers,
    make_completed,
    make_training,
    redeem,
)
from trainings import accounts, cancelling
from trainings.cancelling import Cancellation, Outcome
from trainings.models import Balance, Purchase, Training, Transfer

pytestmark = pytest.mark.django_db


def standing(id):
    return Registrant.objects.values_list("stage", "drop_off", "drop_off_at").get(pk=id)


def test_money_and_seat_go_back():
    make_training(seats=10)
    [code] = make_buyers(1)
    redeem([code], sequence=1)
    assert Training.objects.get().taken == 1

    assert cancel([code, code]) + cancel([code]) == [Outcome.CANCELLED, Outcome.ALREADY, Outcome.ALREADY]

    purchase = by_code(code)
    assert (purchase.state, purchase.cancelled_at) == (Purchase.State.CANCELLED, LATER)
    assert Balance.objects.get().balance == 1_000_000
    assert Transfer.objects.filter(kind=Transfer.Kind.REFUND).count() == 1
    assert Training.objects.get().taken == 0
    assert accounts.recount() == []
    assert accounts.totals().taken == {"tokopedia": 0}


def test_who_has_no_training_left_is_held():
    [code] = make_buyers(1)

    cancel([code])

    assert standing(by_code(code).registrant_id) == (Stage.TRAINING_BOUGHT, DropOff.PURCHASE_CANCELLED, LATER)
    assert funnel.recount().differences == []


def test_who_has_another_training_or_completed_one_is_not_held():
    make_training("TOK-2")
    [code] = make_buyers(1)
    [completed] = make_completed(1, first=3000)
    id = by_code(code).registrant_id
    others = [result.redeem_code for result in buy([id, completed], "TOK-2")]

    assert cancel([code, others[1]]) == [Outcome.CANCELLED] * 2

    assert standing(id)[:2] == (Stage.TRAINING_BOUGHT, DropOff.NONE)
    assert standing(completed)[:2] == (Stage.TRAINING_COMPLETED, DropOff.NONE)
    cancel(others)
    assert standing(id)[:2] == (Stage.TRAINING_BOUGHT, DropOff.PURCHASE_CANCELLED)


def test_what_is_completed_is_not_cancelled():
    [code] = make_buyers(1)
    redeem([code])
    complete([code])

    assert cancel([code]) == [Outcome.COMPLETED]
    assert Balance.objects.get().balance == 600_000


def test_only_the_platform_that_sold_it_cancels():
    [code] = make_buyers(1)

    for stranger in ("bukalapak", "nusa"):
        assert cancel([code], platform=stranger) == [Outcome.UNKNOWN]
    assert cancelling.cancel([Cancellation("no code", LATER)], platform="tokopedia") == [Outcome.UNKNOWN]


@pytest.mark.django_db(transaction=True)
def test_fifty_threads_pay_back_once():
    [code] = make_buyers(1)

    outcomes = Counter(in_threads(50, lambda number: cancel([code])[0]))

    assert outcomes == {Outcome.CANCELLED: 1, Outcome.ALREADY: 49}
    assert Balance.objects.get().balance == 1_000_000


@pytest.mark.django_db(transaction=True)
def test_buyers_and_cancellers_of_the_same_limited_trainings_do_not_wait_for_each_other():
    for number in range(4):
        make_training(f"SMALL-{number}", seats=30, price=10_000)
    make_training()
    ids = [by_code(code).registrant_id for code in make_buyers(20)]

    def churn(number):
        codes = []
        for turn in range(4):
            training = f"SMALL-{(number + turn) % 4}"
            mine = ids if number % 2 else ids[::-1]
            codes += [result.redeem_code for result in buy(mine, training, number=10 * number + turn) if result.redeem_code]
            cancel(codes[:: -1 if number % 3 else 1][:15])

    in_threads(8, churn)

    assert accounts.recount() == []
    assert funnel.recount().differences == []
