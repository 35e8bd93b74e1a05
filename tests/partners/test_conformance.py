"""The sandbox tells which text was expected to be signed; production does not have the page."""

import os
import subprocess
import sys
import time
from urllib.parse import urlencode

import pytest

from partners import signature
from tests.conftest import ROOT
from tests.partners.cast import COMMIT, SIGN_KEY, make_partner, signed

URL = "/api/v1/sandbox/conformance/"
BODY = '{"redeem_code":"code"}'

pytestmark = pytest.mark.django_db


def described(**changed):
    said = {"client_code": "tokopedia", "timestamp": str(int(time.time())), "method": "POST", "path": COMMIT, "body": BODY}
    text = f"tokopedia{said['timestamp']}POST{COMMIT}{BODY}"
    return said | {"signature": signature.sign(SIGN_KEY, text.encode())} | changed


def test_a_described_call_is_explained_as_json(client):
    make_partner()

    right = client.post(URL, described(), content_type="application/json")
    wrong = client.post(URL, described(signature="0" * 40), content_type="application/json")

    assert right.json()["accepted"]
    assert wrong.status_code == 200
    assert not wrong.json()["accepted"]
    timestamp = str(int(time.time()))[:8]
    assert wrong.json()["expected"][0].startswith(f"tokopedia{timestamp}")
    assert wrong.json()["expected"][0].endswith(f"POST{COMMIT}{BODY}")


def test_a_call_that_is_signed_for_the_page_itself_is_explained(client):
    make_partner()
    body = b'{"redeem_code": "code"}'
    compact = signed("tokopedia", path=URL, body=b'{"redeem_code":"code"}')

    found = client.post(URL, body, content_type="application/json", **compact).json()

    assert found["accepted"]


def test_people_get_a_page_and_their_input_back(client):
    make_partner()

    empty = client.get(URL)
    form = urlencode(described(signature="<script>"))
    told = client.post(URL, form, content_type="application/x-www-form-urlencoded")

    assert empty.headers["Content-Type"] == told.headers["Content-Type"] == "text/html; charset=utf-8"
    assert b"It does not fit" in told.content
    assert b"<script>" not in told.content
    assert b"&lt;script&gt;" in told.content


def test_what_is_not_asked_for_is_refused(client):
    answer = client.post(URL, described(key="my_sign_key"), content_type="application/json")

    assert answer.status_code == 400
    assert answer.json()["errors"] == {"key": ["Unknown field."]}


@pytest.mark.parametrize(
    "wrong",
    [{"key": b"another"}, {"at": 1_600_000_000}, {"path": COMMIT + "/"}, {"body": b""}, {"method": "post"}],
)
def test_a_signed_call_that_is_refused_is_told_nothing_of_what_was_expected(client, wrong):
    headers = signed(make_partner(), **{"body": BODY.encode()} | wrong)

    answer = client.generic("POST", COMMIT, BODY, "application/json", **headers)

    assert answer.status_code == 401
    assert answer.json()["message"] in (
        "The signature does not fit.",
        "The timestamp is not of the last five minutes, in Unix seconds.",
    )


ASK = """
import django
django.setup()
from django.core.checks import run_checks
from django.urls import Resolver404, resolve
try:
    print(resolve("/api/v1/sandbox/conformance/").url_name)
except Resolver404:
    print("no such page")
print([message.id for message in run_checks() if message.id == "partners.E001"])
"""


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"DEMO": "1"}, "api_conformance\n[]"),
        ({"DEMO": "0"}, "no such page\n[]"),
        ({"DEMO": "0", "SANDBOX": "1"}, "api_conformance\n[]"),
        ({"PRODUCTION": "1"}, "no such page\n[]"),
        ({"PRODUCTION": "1", "SANDBOX": "1"}, "no such page\n['partners.E001']"),
    ],
)
def test_the_sandbox_is_the_demo_or_asked_for_and_never_production(environment, said):
    done = subprocess.run(
        [sys.executable, "-c", ASK], cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False
    )

    assert done.stdout.strip() == said, done.stderr
