"""A header with an underscore in its name comes through the web server; those that a proxy sets cannot be forged by it."""

import http.client
import json
import time
from urllib.parse import urlsplit

import pytest

from partners import signature
from tests.conftest import ROOT
from tests.journeys.conftest import GUNICORN, _answers, _free_port
from tests.partners.cast import SIGN_KEY, make_partner
from tests.processes import running, wait_until

URL = "/api/v1/sandbox/conformance/"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", ["client_code", "Client_code", "CLIENT_CODE", "client-code"])
def test_the_clients_headers_come_through_gunicorn(site, name):
    make_partner()
    timestamp, body = str(int(time.time())), b'{"redeem_code": "code"}'
    said = signature.Given("tokopedia", timestamp, "", "POST", URL, b"")
    mac = signature.sign(SIGN_KEY, signature.text(said, b'{"redeem_code":"code"}'))

    found = post(site, {name: "tokopedia", "timestamp": timestamp, "signature": mac, "X_Forwarded_Proto": "https"}, body)

    assert found["findings"] == ["Everything is right: the signature fits."]


@pytest.fixture(scope="module")
def site(django_db_setup, tmp_path_factory):
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    log = tmp_path_factory.mktemp("site") / "web.log"
    with running(*GUNICORN, f"--bind=127.0.0.1:{port}", log=log, BASE_URL=url, DJANGO_ALLOW_ASYNC_UNSAFE="") as web:
        wait_until(lambda: web.poll() is not None or _answers(f"{url}/healthz"), seconds=60, what="the site answers")
        assert web.poll() is None, log.read_text()
        yield url


def post(site, headers, body):
    connection = http.client.HTTPConnection(urlsplit(site).netloc, timeout=20)
    connection.request("POST", URL, body, {"Content-Type": "application/json"} | headers)
    answer = connection.getresponse()
    return json.loads(answer.read())


def test_in_production_the_host_s_proxy_is_whom_gunicorn_trusts():
    compose = (ROOT / "docker-compose.yml").read_text()

    assert 'FORWARDED_ALLOW_IPS: "*"' in compose
    assert 'ports: ["127.0.0.1:8000:8000"]' in compose
