"""Whatever goes wrong is a problem as RFC 9457 has it, and tells nothing that it should not."""

import json

import pytest
from django.db import OperationalError
from rest_framework.exceptions import Throttled

from partners import problems
from partners.problems import Problem
from tests.partners.cast import Api, api

ORDERS = "/api/v1/orders/"

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.partners.shop")]


def is_problem(answer, status, name):
    assert answer.status_code == status, answer.content
    assert answer.headers["Content-Type"] == "application/problem+json"
    said = answer.json()
    assert said["type"] == f"urn:prakerja:problem:{name}"
    assert said["status"] == status
    assert said["title"]
    return said


def test_an_address_that_is_none(client):
    is_problem(client.get("/api/v1/nothing/"), 404, "not-found")


def test_a_method_that_is_none(caller):
    answer = caller.delete(ORDERS)

    is_problem(answer, 405, "method-not-allowed")
    assert "GET" in answer.headers["Allow"]


def test_nobody_and_the_wrong_one(client, partner):
    anonymous = client.get(ORDERS)

    is_problem(anonymous, 401, "not-authenticated")
    assert anonymous.headers["WWW-Authenticate"].startswith("Bearer")
    is_problem(api(partner, "purchases:read").post(ORDERS, {"subject": 1}), 403, "not-allowed")
    is_problem(Api("made-up").get(ORDERS), 401, "not-authenticated")


def test_a_problem_of_ones_own_has_its_members(caller):
    said = is_problem(caller.post(ORDERS, {"subject": 13}), 422, "unlucky")

    assert said["price"] == 13


def test_a_field_that_is_not_right_is_named(caller):
    said = is_problem(caller.post(ORDERS, {"subject": -1, "colour": "red", "state": "paid"}), 400, "bad-request")

    assert set(said["errors"]) == {"subject", "colour", "state"}


def test_an_error_of_ours_tells_nothing_to_the_caller_or_the_log(caller, caplog):
    caller.raise_request_exception = False

    said = is_problem(caller.post(ORDERS, {"subject": 15, "note": "Siti Rahmawati"}), 500, "our-fault")

    assert "Siti" not in json.dumps(said)
    assert "Siti" not in caplog.text
    assert "RuntimeError" in caplog.text
    assert "shop.py" in caplog.text


def test_the_database_being_away_says_when_to_come_back():
    answer = problems.handler(OperationalError("server closed"), {})

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "server closed" not in json.dumps(answer.data)


def test_waiting_times_are_whole_seconds():
    assert problems.answer(Throttled(wait=0.2)).headers["Retry-After"] == "1"


def test_errors_of_rows_are_found_by_their_path():
    from rest_framework.exceptions import ValidationError

    error = ValidationError({"items": [{}, {"price": ["Too dear."]}], "name": ["Too long."]})

    assert problems.document(error)["errors"] == {"items.1.price": ["Too dear."], "name": ["Too long."]}


def test_a_problem_without_detail_has_none():
    assert "detail" not in problems.document(Problem("unlucky", 422, "Unlucky."))


@pytest.mark.parametrize(
    "body",
    [
        {"subject": "12"},
        {"subject": 12.0},
        {"subject": True},
        {"subject": None},
        {"subject": 2**63},
        {"subject": 1, "price": 0},
        {"subject": 1, "price": -5},
        {"subject": 1, "price": 1.5},
        {"subject": 1, "price": 10**12 + 1},
        {"subject": 1, "gift": "true"},
        {"subject": 1, "gift": 1},
        {"subject": 1, "mode": 1},
        {"subject": 1, "mode": "Online"},
        {"subject": 1, "note": 5},
        {"subject": 1, "note": "x" * 21},
        {"subject": 1, "note": "a\x00b"},
        {"subject": 1, "at": "2020-09-15"},
        {"subject": 1, "at": "2020-09-15T09:00:00"},
        {"subject": 1, "at": "2020-02-30T09:00:00Z"},
        {"subject": 1, "at": "0001-01-01T00:00:00+14:00"},
        {"subject": 1, "at": 1600000000},
        {"subject": 1, "at": "٢٠٢٠-09-15T09:00:00Z"},
        [],
        "text",
        5,
        None,
    ],
)
def test_what_is_sent_is_taken_to_the_letter(caller, body):
    is_problem(caller.post(ORDERS, json.dumps(body), content_type="application/json"), 400, "bad-request")


def test_what_is_right_is_taken(caller):
    body = {"subject": 1, "price": 600_000, "gift": True, "mode": "online", "note": "é", "at": "2020-09-15t09:00:00.5+07:00"}

    assert caller.post(ORDERS, body).status_code == 201
