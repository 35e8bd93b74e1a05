"""Lists come in pages that nothing shifts, each partner's own."""

import base64

import pytest

from tests.partners.cast import api
from tests.partners.shop import order

ORDERS = "/api/v1/orders/"

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.partners.shop")]


def pages(caller, first):
    found, url = [], first
    while url:
        page = caller.get(url).json()
        found.append([item["subject"] for item in page["items"]])
        url = page["next"]
    return found


def test_every_row_comes_once_the_newest_first(caller, partner):
    for subject in range(1, 8):
        order(partner.pk, subject)

    assert pages(caller, f"{ORDERS}?limit=3") == [[7, 6, 5], [4, 3, 2], [1]]


def test_what_is_new_meanwhile_shifts_nothing(caller, partner):
    for subject in range(1, 5):
        order(partner.pk, subject)
    first = caller.get(f"{ORDERS}?limit=2").json()

    order(partner.pk, 99)

    assert pages(caller, first["next"]) == [[2, 1]]


def test_filters_go_along(caller, partner):
    for subject in (5, 6, 5, 5):
        order(partner.pk, subject)

    assert pages(caller, f"{ORDERS}?limit=2&subject=5") == [[5, 5], [5]]


def test_a_partner_sees_its_own_only(caller, partner, other):
    order(partner.pk, 1)
    order(other.pk, 2)

    assert pages(caller, ORDERS) == [[1]]
    assert pages(api(other), ORDERS) == [[2]]


def test_another_partners_cursor_opens_nothing_of_it(partner, other):
    for subject in range(1, 4):
        order(other.pk, subject)
    theirs = api(other).get(f"{ORDERS}?limit=1").json()["next"]

    assert pages(api(partner), theirs) == [[]]


@pytest.mark.parametrize(
    "cursor",
    ["x", "!!!!", "é", "%00", "a" * 300]
    + [
        base64.urlsafe_b64encode(said).decode()
        for said in (b'"abc"', b"[]", b"null", b"1.5", b"true", b"9" * 60, b"[" * 150)
    ],
)
def test_a_cursor_that_is_not_ours_is_refused(caller, cursor):
    answer = caller.get(f"{ORDERS}?cursor={cursor}")

    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == ["cursor"]


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "limit=5&limit=6", "colour=red", "subject=x"])
def test_parameters_are_taken_to_the_letter(caller, query):
    assert caller.get(f"{ORDERS}?{query}").status_code == 400


def test_where_no_parameters_are_known_none_are_taken(caller):
    assert caller.post(f"{ORDERS}?dry_run=1", {"subject": 1}).status_code == 400
