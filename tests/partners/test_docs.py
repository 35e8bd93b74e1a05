"""The API's pages, in a browser, under the site's own content security policy: everything is there, from nowhere else."""

import json
import os

import pytest
from django.conf import settings
from playwright.sync_api import sync_playwright

from tests.journeys.browser import ARGUMENTS, DESK, PHONE, Device, find_chromium
from tests.partners.cast import make_partner

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def chromium():
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(os.environ), args=[*ARGUMENTS, *as_root])
        yield browser
        browser.close()


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_the_schema_can_be_read_and_tried(chromium, live_server, width):
    device = Device(chromium, live_server.url, width=width)

    device.open("/api/v1/docs/")
    device.page.get_by_text("/api/v1/webhooks/address/").first.wait_for()
    listed = device.page.locator(".opblock").count()
    device.page.locator("#operations-webhooks-webhooks_address_update .opblock-summary-control").click()
    device.page.locator(".opblock.is-open .responses-table .response[data-code='422']").first.wait_for()
    device._picture("docs", "light")

    assert device.overflow() <= 0
    schema = device.context.request.get("/api/v1/schema/").json()
    assert listed == sum(len(operations) for operations in schema["paths"].values())
    assert device.complaints == []
    device.context.close()


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_the_conformance_page_is_like_the_others(chromium, live_server, width):
    make_partner()
    device = Device(chromium, live_server.url, width=width)

    device.open("/api/v1/sandbox/conformance/")
    found = device.faults("conformance")
    device.type("client_code", "tokopedia")
    device.type("timestamp", "1516239022")
    device.type("signature", "943c20a8e36b6243f576404b00fffdc86411ce1f")
    device.press("Explain")

    assert device.page.get_by_role("heading", name="It does not fit").is_visible()
    assert found + device.faults("conformance told") == []
    assert device.complaints == []
    device.context.close()


def test_the_policy_allows_no_scripts_but_ours(client):
    policy = client.get("/api/v1/docs/").headers["Content-Security-Policy"]
    scripts = policy.partition("script-src")[2].partition(";")[0] or policy.partition("default-src")[2].partition(";")[0]

    assert scripts.split() == ["'self'"]


def test_the_schema_is_complete_and_says_its_version(client):
    schema = client.get("/api/v1/schema/").json()

    assert schema["openapi"].startswith("3.")
    assert schema["info"]["title"] == settings.SPECTACULAR_SETTINGS["TITLE"]
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            assert operation.get("description"), f"{method} {path} says nothing of itself"
            for status, answer in operation["responses"].items():
                assert status < "400" or answer["content"], f"{status} of {method} {path}"
            if method in ("post", "put") and not path.startswith(("/api/v1/oauth", "/api/v1/inbox", "/api/v1/sandbox")):
                signed = any("signature" in way for way in operation["security"])
                keys = [parameter["name"] for parameter in operation.get("parameters", [])]
                assert signed or "Idempotency-Key" in keys, f"{method} {path}"
    assert "warning" not in json.dumps(schema).lower()


def test_making_the_schema_warns_of_nothing(capfd):
    from drf_spectacular.drainage import GENERATOR_STATS, reset_generator_stats
    from drf_spectacular.generators import SchemaGenerator

    reset_generator_stats()
    SchemaGenerator().get_schema(request=None, public=True)

    assert not GENERATOR_STATS, capfd.readouterr().err
