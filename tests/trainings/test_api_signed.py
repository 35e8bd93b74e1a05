"""The calls that partners have always made, as they make them: signed, with the answer's field names as they know them."""

import json
import time
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from tests.partners.cast import COMMIT, make_partner, signed
from tests.trainings.cast import by_code, make_present, make_recipients, order
from trainings import cancelling, purchasing
from trainings.models import Purchase
from trainings.redeeming import status as data_of

pytestmark = pytest.mark.django_db

STATUS = COMMIT.replace("commit", "status")


@pytest.fixture
def code():
    make_present()
    [id] = make_recipients(1)
    [result] = purchasing.buy([order(id, at=timezone.now() - timedelta(hours=1))], platform="tokopedia")
    return result.redeem_code


def call(path, body, *, partner="nusa", compact=True, **options):
    """A call as the official clients make it: what is signed is the compact body; what is sent may have blanks."""
    content = json.dumps(body, separators=(",", ":")).encode()
    sent = content if compact else json.dumps(body).encode()
    headers = signed(partner, "POST", path, content, **options)
    return Client().generic("POST", path, sent, "application/json", **headers)


@pytest.mark.parametrize("compact", [True, False])
def test_a_provider_asks_and_uses_a_code(code, compact):
    before = call(STATUS, {"redeem_code": code}, compact=compact)
    used = call(COMMIT, {"redeem_code": code}, compact=compact)
    after = call(STATUS, {"redeem_code": code}, compact=compact)

    assert [answer.status_code for answer in (before, used, after)] == [200] * 3
    assert before["Content-Type"] == "application/json"
    assert before.json()["data"]["status"] == 0
    assert used.json() == {"success": True, "message": "success", "data": data_of(code, partner="nusa")}
    assert after.json()["data"] == used.json()["data"]
    assert (after.json()["data"]["status"], by_code(code).state) == (1, Purchase.State.REDEEMED)


def test_later_versions_say_which_meeting(code):
    answers = [call(COMMIT, {"redeem_code": code, "sequence": sequence}) for sequence in (1, 2, 999)]

    assert [answer.json()["data"]["sequence"] for answer in answers] == [1, 2, 999]
    assert {answer.json()["data"]["attendance_status"] for answer in answers} == {1}
    assert call(STATUS, {"redeem_code": code, "sequence": 3}).json()["data"]["attendance_status"] == 0


def test_a_second_use_is_refused_and_shows_the_first(code):
    first = call(COMMIT, {"redeem_code": code}).json()

    answer = call(COMMIT, {"redeem_code": code})

    assert answer.status_code == 409
    assert answer.json() == {"success": False, "message": "The redeem code was used before.", "data": first["data"]}


def test_a_replayed_call_uses_nothing_twice(code):
    headers = signed("nusa", "POST", COMMIT, body := json.dumps({"redeem_code": code}).encode())

    answers = [Client().generic("POST", COMMIT, body, "application/json", **headers) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 409]


def refused(answer, status):
    assert answer.status_code == status, answer.content
    said = answer.json()
    assert (said.keys(), said["success"], said["data"]) == ({"success", "message", "data"}, False, None)
    assert said["message"]


def test_an_unknown_code_and_anothers_are_told_the_same(code):
    make_partner("lentera", platform=False, provider=True)

    answers = [
        call(path, {"redeem_code": asked}, partner=partner)
        for path in (STATUS, COMMIT)
        for asked, partner in ((code, "lentera"), ("A" * 16, "nusa"), ("kode", "nusa"))
    ]

    for answer in answers:
        refused(answer, 404)
    assert len({answer.content for answer in answers}) == 1


def test_a_cancelled_code_is_not_used(code):
    cancelling.cancel([cancelling.Cancellation(code, timezone.now())], platform="tokopedia")

    answer = call(COMMIT, {"redeem_code": code})

    assert (answer.status_code, answer.json()["success"], answer.json()["data"]["status"]) == (409, False, 2)
    assert call(STATUS, {"redeem_code": code}).json()["data"]["status"] == 2


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"redeem_code": 12},
        {"redeem_code": ""},
        {"redeem_code": None},
        {"redeem_code": "X" * 101},
        {"redeem_code": "X", "sequence": "1"},
        {"redeem_code": "X", "sequence": 1.5},
        {"redeem_code": "X", "state": 1},
    ],
)
def test_what_is_no_question_is_refused(code, body):
    for path in (STATUS, COMMIT):
        refused(call(path, body), 400)


@pytest.mark.parametrize("sequence", [0, -1, 11, 1000])
def test_a_meeting_that_there_is_not_is_refused(code, sequence):
    answer = call(COMMIT, {"redeem_code": code, "sequence": sequence})

    assert (answer.status_code, answer.json()["success"]) == (422, False)
    assert by_code(code).state == Purchase.State.ISSUED


def test_a_call_that_is_not_signed_as_it_should_be_is_refused(code):
    body = {"redeem_code": code}

    for answer in (
        call(COMMIT, body, key=b"another key"),
        call(COMMIT, body, at=int(time.time()) - 310),
        call(COMMIT, body, at=int(time.time()) + 310),
        call(COMMIT, body, partner="nobody"),
        Client().post(COMMIT, body, "application/json"),
    ):
        refused(answer, 401)
    assert by_code(code).state == Purchase.State.ISSUED


def test_only_posts_are_taken(code):
    headers = signed("nusa", "GET", COMMIT)

    refused(Client().get(COMMIT, **headers), 405)
