"""Somebody who rehearses trouble, at the control page of the mock services."""

import pytest
from playwright.sync_api import expect

from prakerja.mockservices import serving
from tests.journeys.browser import DESK, PHONE, Device
from tests.prakerja.mockservices.conftest import send_sms


@pytest.fixture
def server():
    with serving(receipts_to="http://127.0.0.1:1/", receipt_secret="c2VjcmV0") as server:
        yield server


@pytest.fixture
def rehearser(chromium, server):
    """At any width, with or without JavaScript; nothing may be wrong with the page."""
    devices = []

    def sit_down(**options):
        devices.append(Device(chromium, server.url, **options))
        devices[-1].open("/")
        return devices[-1]

    yield sit_down
    for device in devices:
        device.context.close()
    assert [complaint for device in devices for complaint in device.complaints] == []


def test_an_outage_is_begun_and_ended_and_faults_are_set(rehearser, server):
    device = rehearser(javascript=False)
    sms = device.page.get_by_role("region", name="SMS", exact=True)

    sms.get_by_label("Outage, in s").fill("90")
    device.press("SMS: outage now")
    expect(sms).to_contain_text("down for another")
    assert send_sms(server, "1").status_code == 503
    device.press("All services: all well")
    sms.get_by_label("calls answered 500 (%)").fill("100")
    device.press("Set SMS")

    expect(sms.get_by_label("calls answered 500 (%)")).to_have_value("100")
    assert send_sms(server, "2").status_code == 500
    device.follow("Load again")
    expect(sms).to_contain_text("Records 500: 1, 503: 1.")


def test_a_value_that_cannot_be_is_told_and_changes_nothing(rehearser, server):
    device = rehearser()

    device.page.get_by_role("region", name="E-mail").get_by_label("calls answered 429 (%)").fill("120")
    device.press("Set E-mail")

    expect(device.page.get_by_role("alert")).to_have_text("email.too_many_percent: at most 100")
    assert server.services.trouble["email"].faults.too_many_percent == 0


def test_the_counters_count_while_somebody_types(rehearser, server):
    device = rehearser(width=DESK)
    typed = device.page.get_by_role("region", name="Dukcapil").get_by_label("wait before each answer (ms)")

    typed.fill("250")
    send_sms(server, "1", "2", "3")

    expect(device.page.get_by_role("row", name="records")).to_contain_text("3")
    expect(typed).to_have_value("250")


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_nothing_is_wrong_with_the_page(rehearser, server, width):
    send_sms(server, "1", "2")
    server.control.put({"sms": {"fail_percent": 30, "outage_now_s": 60}})

    assert rehearser(width=width).faults("mock services") == []
