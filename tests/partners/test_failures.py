"""Whoever guesses at a partner's secret has few tries from where they are; the partner itself is let in from elsewhere, and later."""

import base64
import json
from urllib.parse import urlencode

import pytest
import redis
from django.conf import settings
from django.test import Client, RequestFactory

from partners import limits
from partners.models import Client as Program
from tests.partners.cast import COMMIT, SIGN_KEY, an_address, make_partner, signed

pytestmark = pytest.mark.django_db

TOKEN = "/api/v1/oauth/token"
FAILURES = limits.FAILURES


def ask(address, form, *, basic=None):
    content = urlencode({"grant_type": "client_credentials"} | form)
    headers = {"Authorization": f"Basic {base64.b64encode(basic.encode()).decode()}"} if basic else {}
    caller = Client(REMOTE_ADDR=address, headers=headers)
    return caller.post(TOKEN, content, content_type="application/x-www-form-urlencoded")


class Tokens:
    """A program that asks for tokens."""

    let_in = 200

    def __init__(self, name="order service"):
        self.client_code = Program.objects.create(
            partner=make_partner(), name=name, scopes=["purchases:read"], client_secret="right"
        ).client_id

    def call(self, address, *, right):
        form = {"client_id": self.client_code, "client_secret": "right" if right else "wrong"}
        return ask(address, form)

    def told(self, answer):
        assert answer.json()["type"] == "urn:prakerja:problem:too-many-requests"
        return answer.json()["detail"]


class Signatures:
    """A program that signs its calls; the code that it asks about is nobody's."""

    let_in = 404

    def __init__(self, code="tokopedia"):
        self.client_code = make_partner(code).pk

    def call(self, address, *, right):
        content = json.dumps({"redeem_code": "A" * 16}, separators=(",", ":"))
        headers = signed(self.client_code, body=content.encode(), key=SIGN_KEY if right else b"guessed")
        return Client(REMOTE_ADDR=address).generic("POST", COMMIT, content, "application/json", **headers)

    def told(self, answer):
        assert answer.json().keys() == {"success", "message", "data"}
        return answer.json()["message"]


both = pytest.mark.parametrize("program", [Tokens, Signatures])


def fail(program, address, times=FAILURES):
    assert {program.call(address, right=False).status_code for _ in range(times)} == {401}


@both
def test_after_ten_failures_in_a_minute_not_even_the_right_secret_is_taken_there(program):
    program, there = program(), an_address()
    fail(program, there)

    wrong, right = (program.call(there, right=right) for right in (False, True))

    assert [wrong.status_code, right.status_code] == [429, 429]
    assert program.told(right).startswith("Too many tries to say who you are have failed.")
    assert 1 <= int(right.headers["Retry-After"]) <= 60
    assert right.headers["RateLimit-Reset"] == right.headers["Retry-After"]
    assert [right.headers[f"RateLimit-{name}"] for name in ("Limit", "Remaining", "Policy")] == ["10", "0", "10;w=60"]


@both
def test_whoever_calls_from_elsewhere_is_let_in(program):
    program, there = program(), an_address()
    fail(program, there)

    assert program.call(an_address(), right=True).status_code == program.let_in
    assert program.call(there, right=True).status_code == 429


@both
def test_another_client_is_let_in_from_there(program):
    first, second, there = program(), program("another"), an_address()
    fail(first, there)

    assert second.call(there, right=True).status_code == second.let_in


@both
def test_when_the_minute_is_over_the_right_secret_is_taken_again(program):
    program, there = program(), an_address()
    fail(program, there)
    assert program.call(there, right=True).status_code == 429

    end_of_the_minute(program.client_code, there)

    assert program.call(there, right=True).status_code == program.let_in


def end_of_the_minute(client_code, address):
    [who] = limits.Tries(RequestFactory(REMOTE_ADDR=address).get("/"), [client_code]).counted
    url = settings.REDIS_URL.replace("redis+socket://", "unix://").replace("virtual_host=", "db=")
    assert redis.Redis.from_url(url).pexpire(f"limit:{who}", 0)


@both
def test_what_goes_well_does_not_count(program):
    program, there = program(), an_address()
    fail(program, there, FAILURES - 1)

    answers = [program.call(there, right=True).status_code for _ in range(FAILURES + 1)]

    assert set(answers) == {program.let_in}


def test_a_client_that_does_not_exist_is_answered_like_one_that_does():
    there, program, nobody = an_address(), Tokens(), Tokens()
    nobody.client_code = "nobody"

    answers = [[one.call(there, right=False) for _ in range(FAILURES + 1)] for one in (program, nobody)]

    theirs, nobodys = ([(answer.status_code, answer.json().get("error")) for answer in row] for row in answers)
    assert theirs == nobodys
    assert theirs[-1][0] == 429


def test_a_client_in_the_form_is_counted_whatever_client_the_header_names():
    program, there = Tokens(), an_address()
    form = {"client_id": program.client_code, "client_secret": "wrong"}
    for number in range(FAILURES):
        assert ask(there, form, basic=f"decoy-{number}:x").status_code == 401

    assert program.call(there, right=True).status_code == 429


@pytest.mark.parametrize("spelt", [str, lambda sign: f"%{ord(sign):x}"])
def test_a_client_in_the_header_is_counted_however_it_is_spelt(spelt):
    program, there = Tokens(), an_address()
    for _ in range(FAILURES):
        assert ask(there, {}, basic="".join(map(spelt, program.client_code)) + ":wrong").status_code == 401

    assert program.call(there, right=True).status_code == 429


def test_a_call_that_names_no_client_is_no_try(client):
    answers = [client.post(COMMIT, "{}", content_type="application/json").status_code for _ in range(FAILURES + 2)]

    assert set(answers) == {401}
