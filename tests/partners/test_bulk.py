"""Many rows in a call: each has its own result, and one bad row holds up no other."""

import time
from collections import Counter

import pytest

from foundation.models import SetAside
from partners import bulk
from tests.partners.cast import api, make_partner
from tests.partners.matrix import World, each, everything, with_items
from tests.trainings.cast import make_present, make_recipients
from trainings import accounts
from trainings.models import Purchase
from waves.models import Recipient

MANY = "/api/v1/orders/many/"

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.partners.shop")]


def test_every_row_has_a_result_in_its_place(caller):
    rows = [{"subject": 1}, {"subject": 13}, {"subject": "x"}, 5, {"subject": 2, "colour": "red"}, {"subject": 3}]

    results = caller.post(MANY, {"items": rows}).json()["results"]

    assert [result["outcome"] for result in results] == ["done", "refused", "refused", "refused", "refused", "done"]
    assert [result["index"] for result in results] == list(range(6))
    assert results[0]["result"] == {"subject": 1}
    assert results[1]["problem"]["type"] == "urn:prakerja:problem:unlucky"
    assert results[2]["problem"]["errors"] == {"subject": ["A valid integer is required."]}
    assert results[4]["problem"]["errors"] == {"colour": ["Unknown field."]}
    assert sorted(SetAside.objects.values_list("subject", flat=True)) == [1, 3]


@pytest.mark.parametrize(
    "body",
    [{}, {"items": []}, {"items": {}}, {"items": [{"subject": 1}], "mode": "fast"}, [], None, {"items": [1] * 10_001}],
)
def test_what_is_no_list_of_rows_is_refused_as_a_whole(caller, body):
    answer = caller.post(MANY, body)

    assert answer.status_code == 400
    assert not SetAside.objects.exists()


def test_ten_thousand_rows_are_one_set(caller, django_assert_max_num_queries):
    rows = [{"subject": number, "price": 600_000, "note": "x"} for number in range(1000, 1000 + bulk.MOST)]

    began = time.monotonic()
    with django_assert_max_num_queries(40):
        answer = caller.post(MANY, {"items": rows})
    took = time.monotonic() - began

    assert answer.status_code == 200
    assert len(answer.json()["results"]) == SetAside.objects.count() == bulk.MOST
    assert took < 20


def test_repeated_it_is_answered_the_same_and_done_once(caller):
    rows = {"items": [{"subject": number} for number in range(1, 20)]}

    first = caller.write(MANY, rows, key="k")
    again = caller.write(MANY, rows, key="k")

    assert first.content == again.content
    assert SetAside.objects.count() == 18


@pytest.mark.urls("prakerja.urls")
@each(with_items())
def test_every_such_endpoint_takes_ten_thousand_and_not_one_more(row):
    world = World(row)
    caller, own, absent = api(world.owner), row.item(world.names), row.item(world.names | row.absent)
    before = everything()

    too_many = caller.post(row.path, {"items": [own] * (bulk.MOST + 1)})
    untouched = everything() == before
    results = caller.post(row.path, {"items": [absent] * (bulk.MOST - 1) + [own]}).json()["results"]

    assert too_many.status_code == 400
    assert too_many.json()["errors"] == {"items": ["1 to 10000 rows are taken."]}
    assert untouched
    assert [result["index"] for result in results] == list(range(bulk.MOST))
    assert Counter(result["outcome"] for result in results[:-1]) == {"refused": bulk.MOST - 1}
    assert results[-1]["outcome"] == "done"


@pytest.mark.urls("prakerja.urls")
def test_ten_thousand_purchases_are_made_in_one_call():
    training = make_present()
    cards = Recipient.objects.filter(pk__in=make_recipients(bulk.MOST)).values_list("card", flat=True)
    rows = [
        {"card": f"{card:016}", "training": training.code, "reference": f"INV/{card}", "price": training.price}
        for card in cards
    ]

    results = api(make_partner()).post("/api/v1/purchases/", {"items": rows}).json()["results"]

    assert Counter(result["outcome"] for result in results) == {"done": bulk.MOST}
    codes = {result["result"]["redeem_code"] for result in results}
    assert codes == set(Purchase.objects.values_list("redeem_code", flat=True))
    assert len(codes) == bulk.MOST
    assert accounts.totals().taken == {training.platform_id: bulk.MOST * training.price}
    assert accounts.recount() == []
