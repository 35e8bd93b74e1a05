"""Partners tell of what recipients do over HTTP; whoever is killed in between has it told again by another."""

from datetime import timedelta

import pytest

from prakerja.simulation import calls
from prakerja.simulation.calls import Astray
from tests.trainings.cast import BUYS, COMPLETES, LATER, REDEEMS, make_recipients, make_training
from trainings.cancelling import Cancellation
from trainings.completing import Completion
from trainings.models import Purchase, Transfer
from trainings.purchasing import Order
from trainings.redeeming import Use

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ids():
    make_training()
    calls.admit(["tokopedia", "nusa"])
    return make_recipients(4)


@pytest.fixture
def port():
    with calls.served() as port:
        yield port


def tell(port, ids):
    """All that partners tell of these people, by a program that knows nothing of what was told before."""
    partners = calls.ByApi(port)
    orders = [Order(id, "TOK-1", f"SIM-{id}", BUYS + timedelta(minutes=n)) for n, id in enumerate(ids)]
    bought = partners.buy(orders, "tokopedia")
    codes = [code for _, code in bought]
    partners.redeem([Use(code, REDEEMS) for code in codes[:3]], "nusa")
    partners.complete([Completion(code, COMPLETES, 80, None) for code in codes[:2]], "nusa", LATER)
    partners.cancel([Cancellation(codes[3], LATER)], "tokopedia")
    return bought


def test_what_was_told_is_told_again_without_harm(port, ids):
    first = tell(port, ids)
    found = list(Purchase.objects.order_by("pk").values())
    assert [purchase["state"] for purchase in found] == [
        Purchase.State.COMPLETED,
        Purchase.State.COMPLETED,
        Purchase.State.REDEEMED,
        Purchase.State.CANCELLED,
    ]
    moved = Transfer.objects.count()

    assert tell(port, ids) == first
    assert list(Purchase.objects.order_by("pk").values()) == found
    assert Transfer.objects.count() == moved


def test_who_was_killed_in_the_middle_has_it_told_to_the_end(port, ids):
    partners = calls.ByApi(port)
    [(_, code)] = partners.buy([Order(ids[0], "TOK-1", f"SIM-{ids[0]}", BUYS)], "tokopedia")
    partners.redeem([Use(code, REDEEMS)], "nusa")

    assert tell(port, ids)[0][1] == code
    assert Purchase.objects.filter(state=Purchase.State.COMPLETED).count() == 2


def test_a_code_that_was_cancelled_is_not_taken_for_used(port, ids):
    partners = calls.ByApi(port)
    [(_, code)] = partners.buy([Order(ids[0], "TOK-1", f"SIM-{ids[0]}", BUYS)], "tokopedia")
    partners.cancel([Cancellation(code, LATER)], "tokopedia")

    with pytest.raises(Astray, match="cancelled"):
        partners.redeem([Use(code, REDEEMS)], "nusa")
