"""Every address that the site serves, by its URLs: the matrix of the API knows it, or it is said here for whom it is."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, path

from tests.partners.matrix import ROWS

pytestmark = pytest.mark.django_db

#: Whoever comes; a draft, a mailed link or a code is what they bring.
PUBLIC = {
    *("healthz", "set_language", "home"),
    *("sign_up", "sign_up_step", "check_mail", "resend_mail", "change_email", "open_link"),
    *("sign_in", "sign_in_phone", "sign_in_code", "use_sign_in_link", "sign_out", "office_login", "office_logout"),
    *("decrees", "decrees_json", "decree_specification", "decree_pdf", "decree_statement"),
    *("draws", "checker", "draw_specification", "draw", "draw_attempt", "draw_json", "draw_file", "reserves_csv"),
    *("api_docs", "api_sms_receipts"),  # the one to read; the other is signed by the SMS gateway
    *("mock", "mock_step"),  # in the demo only
}
#: The registrant who is signed in.
OWN = {
    *("status", "code", "resend_code", "change_phone", "join_wave", "leave_wave", "correct_identity"),
    *("trainings", "training", "buy_training", "my_trainings", "purchase", "cancel_purchase", "review_training"),
    *("account", "link_account", "check_account", "stop_change", "incentives", "survey"),
    *("change_account", "change_account_code", "change_own_phone", "change_own_phone_code"),
}


class Address(NamedTuple):
    name: str
    route: str

    @property
    def path(self) -> str:
        return re.sub(r"<\w+:\w+>", "1", self.route)

    @property
    def is_of_the_office(self) -> bool:
        return self.route.startswith("/pmo/") and self.name not in PUBLIC

    @property
    def is_in_the_matrix(self) -> bool:
        return re.sub(r"<\w+:(\w+)>", r"{\1}", self.route) in {row.path for row in ROWS}


def served(patterns: list[URLPattern | URLResolver] | None = None, before: str = "/") -> Iterator[Address]:
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        route = f"{before}{pattern.pattern}"
        if isinstance(pattern, URLResolver):
            yield from served(pattern.url_patterns, route)
        else:
            yield Address(pattern.name or "", route)


def nobodys(addresses: Iterator[Address]) -> list[Address]:
    """Those of which it is not said, in one place, for whom they are."""
    return [
        one
        for one in addresses
        if [one.name in PUBLIC, one.name in OWN, one.is_of_the_office, one.is_in_the_matrix].count(True) != 1
    ]


def test_of_every_address_it_is_said_for_whom_it_is():
    assert nobodys(served()) == [], "say for whom it is"
    assert {*PUBLIC, *OWN} - {one.name for one in served()} == set()


def test_an_address_that_nobody_has_thought_about_is_found():
    def page(request):
        return HttpResponse()

    new = [path("rahasia/", page, name="secret"), path("api/v1/secrets/", page), path("pmo/rahasia/", page, name="office")]

    assert [one.route for one in nobodys(served(new))] == ["/rahasia/", "/api/v1/secrets/"]


def answers(caller: Client, address: Address) -> set[tuple[int, str]]:
    """What it says to a GET and a POST, as far as it takes them."""
    asked = [ask(address.path) for ask in (caller.get, caller.post)]
    return {(each.status_code, each.headers.get("Location", "").partition("?")[0]) for each in asked} - {(405, "")}


def test_the_offices_pages_are_for_staff():
    visitor = Client()
    visitor.force_login(User.objects.create_user("tamu"))
    office = [one for one in served() if one.is_of_the_office]

    assert len(office) > 30
    for one in office:
        assert answers(Client(), one) == {(302, "/pmo/masuk/")}, one
        assert answers(visitor, one) == {(403, "")}, one


def test_ones_own_pages_are_for_who_is_signed_in(admin_client):
    for one in served():
        if one.name in OWN:
            assert answers(Client(), one) == answers(admin_client, one) == {(302, "/masuk/")}, one
