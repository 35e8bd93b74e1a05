"""Buying: never above the balance, never a seat too many, in time or never, and once for each of the platform's references."""

from collections import Counter
from datetime import datetime, timedelta

import pytest
from django.db import connection

from registrations import funnel
from registrations.models import Registrant
from registrations.regions import WIB
from registrations.stages import DropOff, Stage
from tests.people import make_registrants
from tests.trainings.cast import (
    BUYS,
    END,
    buy,
    by_code,
    cancel,
    in_threads,
    make_recipients,
    make_training,
    order,
)
from trainings import accounts, purchasing
from trainings.models import Balance, Purchase, Training, Transfer
from trainings.purchasing import Order, Outcome
from waves import revocation
from waves.models import Recipient

pytestmark = pytest.mark.django_db


def outcomes(results):
    return [result.outcome for result in results]


def balance(id):
    return Balance.objects.get(pk=id).balance


def test_the_price_goes_from_the_balance_to_the_trainings_account():
    training = make_training(price=400_000)
    [id] = make_recipients(1)

    [result] = buy([id])

    assert result.outcome is Outcome.BOUGHT
    purchase = Purchase.objects.get()
    assert (purchase.pk, purchase.redeem_code) == (result.purchase_id, result.redeem_code)
    assert (purchase.state, purchase.price, purchase.bought_at) == (Purchase.State.ISSUED, 400_000, BUYS)
    assert list(Transfer.objects.values_list("kind", "debit", "credit", "amount", "purchase_id")) == [
        (Transfer.Kind.GRANT, 0, id, 1_000_000, None),
        (Transfer.Kind.PURCHASE, id, -training.pk, 400_000, purchase.pk),
    ]
    assert balance(id) == 600_000
    assert accounts.totals() == accounts.Totals(1_000_000, 600_000, 0, {"tokopedia": 400_000})


def test_the_first_training_lifts_and_the_next_ones_do_not():
    make_training()
    [id] = make_recipients(1)

    assert outcomes(buy([id]) + buy([id], number=2, at=BUYS + timedelta(days=1))) == [Outcome.BOUGHT] * 2

    registrant = Registrant.objects.get(pk=id)
    assert (registrant.stage, registrant.training_bought_at) == (Stage.TRAINING_BOUGHT, BUYS)
    assert Transfer.objects.filter(kind=Transfer.Kind.GRANT).count() == 1
    assert funnel.recount().differences == []


def test_several_trainings_fit_and_none_above_the_balance():
    make_training(price=400_000)
    make_training("TOK-2", price=200_000)
    [id] = make_recipients(1)
    orders = [order(id), order(id, number=2), order(id, number=3), order(id, "TOK-2"), order(id, "TOK-2", number=2)]

    results = purchasing.buy(orders, platform="tokopedia")

    low = Outcome.BALANCE_TOO_LOW
    assert outcomes(results) == [Outcome.BOUGHT, Outcome.BOUGHT, low, Outcome.BOUGHT, low]
    assert balance(id) == 0


def test_an_order_that_is_repeated_buys_nothing_and_is_told_the_same():
    make_training()
    [id] = make_recipients(1)

    [first, doubled] = purchasing.buy([order(id), order(id)], platform="tokopedia")
    [again] = buy([id])

    assert outcomes([first, doubled, again]) == [Outcome.BOUGHT, Outcome.ALREADY, Outcome.ALREADY]
    assert {result[1:] for result in (first, doubled, again)} == {first[1:]}
    assert Purchase.objects.count() == 1


def test_a_reference_stands_for_one_order_for_ever():
    make_training()
    make_training("TOK-2")
    [id, other] = make_recipients(2)
    buy([id])

    foreign = order(other)._replace(reference=order(id).reference)
    results = purchasing.buy([foreign, order(id)._replace(training="TOK-2")], platform="tokopedia")

    assert outcomes(results) == [Outcome.REFERENCE_TAKEN] * 2
    assert {result.purchase_id for result in results} == {None}


def test_two_platforms_may_use_the_same_reference():
    make_training()
    make_training(platform="bukalapak")
    [id] = make_recipients(1)

    assert outcomes(buy([id]) + buy([id], platform="bukalapak")) == [Outcome.BOUGHT] * 2


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"training": "NONE"}, Outcome.UNKNOWN_TRAINING),
        ({"training": "BUK-1"}, Outcome.UNKNOWN_TRAINING),
        ({"at": BUYS - timedelta(days=60)}, Outcome.NOT_ON_SALE),
        ({"at": END}, Outcome.TOO_LATE),
        ({"price": 399_999}, Outcome.PRICE_DIFFERS),
        ({"training": "DEAR"}, Outcome.BALANCE_TOO_LOW),
        ({"training": "FULL"}, Outcome.SOLD_OUT),
        ({"reference": ""}, Outcome.BAD_REFERENCE),
        ({"reference": "two words"}, Outcome.BAD_REFERENCE),
        ({"reference": "x" * 65}, Outcome.BAD_REFERENCE),
        ({"reference": "nul\0"}, Outcome.BAD_REFERENCE),
        ({"registrant_id": 10**12}, Outcome.NOT_A_RECIPIENT),
        ({"at": END - timedelta(microseconds=1), "price": 400_000}, Outcome.BOUGHT),
        ({"reference": 'NULL"\\{},'}, Outcome.BOUGHT),
    ],
)
def test_what_an_order_is_told(changes, expected):
    make_training()
    make_training("BUK-1", platform="bukalapak")
    make_training("DEAR", price=1_000_001)
    make_training("FULL", seats=0)
    [id] = make_recipients(1)

    [result] = purchasing.buy([order(id)._replace(**changes)], platform="tokopedia")

    assert result.outcome is expected
    assert Purchase.objects.count() == (expected is Outcome.BOUGHT)
    assert accounts.recount() == []


def test_who_is_no_recipient_buys_nothing():
    make_training()
    [revoked, removed] = make_recipients(2)
    [verified] = make_registrants(1, stage=Stage.PHONE_VERIFIED, first=5000)
    while revocation.revoke(at=END):
        pass
    Recipient.objects.filter(pk=removed).update(ended_because=DropOff.REMOVED)

    results = buy([revoked, removed, verified], at=END - timedelta(days=1))

    assert outcomes(results) == [Outcome.ENDED, Outcome.ENDED, Outcome.NOT_A_RECIPIENT]


def test_the_balance_is_spent_by_15_december():
    make_training()
    [id] = make_recipients(1)
    buy([id])
    last = datetime(2020, 12, 16, tzinfo=WIB)

    results = buy([id], number=2, at=last) + buy([id], number=3, at=last - timedelta(seconds=1))

    assert outcomes(results) == [Outcome.BALANCE_EXPIRED, Outcome.BOUGHT]


def test_cards_tell_who_buys():
    [id] = make_recipients(1)
    card = Recipient.objects.get(pk=id).card

    assert purchasing.holders([card, 1]) == {card: id}


def test_who_cancelled_the_only_training_is_on_the_way_again_with_the_next():
    make_training()
    ids = make_recipients(3)
    cancel([result.redeem_code for result in buy(ids)], at=BUYS + timedelta(hours=1))
    assert set(Registrant.objects.filter(pk__in=ids).values_list("drop_off", flat=True)) == {DropOff.PURCHASE_CANCELLED}

    orders = [order(id, number=2, at=BUYS + timedelta(hours=5 * place + 2)) for place, id in enumerate(ids)]
    results = purchasing.buy(orders, platform="tokopedia")

    assert outcomes(results) == [Outcome.BOUGHT] * 3
    assert set(Registrant.objects.filter(pk__in=ids).values_list("stage", "drop_off")) == {(Stage.TRAINING_BOUGHT, 0)}
    assert funnel.recount().differences == []


def test_thousands_are_bought_in_a_handful_of_statements(django_assert_max_num_queries):
    make_training()
    make_training("LIMITED", seats=150)
    ids = make_recipients(200)

    with django_assert_max_num_queries(14):
        results = purchasing.buy([order(id) for id in ids] + [order(id, "LIMITED") for id in ids], platform="tokopedia")

    assert Counter(outcomes(results)) == {Outcome.BOUGHT: 350, Outcome.SOLD_OUT: 50}
    assert Training.objects.get(code="LIMITED").taken == 150
    assert accounts.recount() == []
    assert funnel.recount().differences == []


@pytest.mark.django_db(transaction=True)
def test_fifty_threads_on_the_last_million_buy_as_much_as_fits():
    make_training(price=300_000)
    [id] = make_recipients(1)

    results = in_threads(50, lambda number: buy([id], number=number)[0])

    assert Counter(outcomes(results)) == {Outcome.BOUGHT: 3, Outcome.BALANCE_TOO_LOW: 47}
    assert balance(id) == 100_000
    assert accounts.recount() == []


@pytest.mark.django_db(transaction=True)
def test_fifty_threads_on_the_last_seat_have_one_winner():
    make_training(seats=1)
    ids = make_recipients(50)

    results = in_threads(50, lambda number: buy([ids[number]])[0])

    assert Counter(outcomes(results)) == {Outcome.BOUGHT: 1, Outcome.SOLD_OUT: 49}
    assert Training.objects.get().taken == 1
    assert accounts.recount() == []


@pytest.mark.django_db(transaction=True)
def test_fifty_threads_with_one_reference_buy_once():
    make_training()
    ids = make_recipients(50)

    def attack(number):
        mine = order(ids[number // 2])._replace(reference="INV-1")
        return purchasing.buy([mine, *[order(id, number=number) for id in ids]], platform="tokopedia")[0]

    results = in_threads(50, attack)

    found = Counter(outcomes(results))
    assert found[Outcome.BOUGHT] == 1
    assert (
        found[Outcome.BOUGHT] + found[Outcome.ALREADY] + found[Outcome.REFERENCE_TAKEN] + found[Outcome.BALANCE_TOO_LOW]
        == 50
    )
    assert Purchase.objects.filter(reference="INV-1").count() == 1
    assert accounts.recount() == []


@pytest.mark.django_db(transaction=True)
def test_of_buying_and_revoking_at_the_same_instant_one_comes_first():
    make_training()
    ids = make_recipients(40)

    def race(number):
        if number == 0:
            return [revocation.revoke(at=END, size=3) for _ in range(30)]
        mine = [id for id in ids if id % 4 == number % 4]
        return buy(mine if number % 2 else mine[::-1], at=END - timedelta(microseconds=1))

    _, *bought = in_threads(5, race)

    for id in ids:
        told = {
            result.outcome
            for results, number in zip(bought, range(1, 5), strict=True)
            for result, who in zip(results, _asked(ids, number), strict=True)
            if who == id
        }
        registrant = Registrant.objects.get(pk=id)
        has_bought = Purchase.objects.filter(registrant_id=id).exists()
        assert told == ({Outcome.BOUGHT} if has_bought else {Outcome.ENDED})
        assert (registrant.drop_off == DropOff.REVOKED) is not has_bought
        assert (registrant.stage == Stage.TRAINING_BOUGHT) is has_bought
    assert Recipient.objects.filter(ended_because=DropOff.REVOKED).count() >= len(ids) - Purchase.objects.count()
    assert funnel.recount().differences == []
    assert accounts.recount() == []


def _asked(ids, number):
    mine = [id for id in ids if id % 4 == number % 4]
    return mine if number % 2 else mine[::-1]


def test_a_redeem_code_is_16_characters_of_the_given_randomness():
    make_training()
    [id] = make_recipients(1)

    [result] = purchasing.buy([order(id)], platform="tokopedia", random_bytes=lambda size: b"\0" * size)

    assert result.redeem_code == "A" * 16
    assert by_code("A" * 16).registrant_id == id


def test_no_orders_no_statement_of_trouble():
    assert purchasing.buy([], platform="tokopedia") == []
    assert isinstance(order(1), Order)
    assert connection.ensure_connection() is None
