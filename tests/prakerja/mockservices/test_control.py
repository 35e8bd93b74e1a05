"""The hand at the faults: the JSON for programs, the page for people, and nobody from outside."""

import base64
import re
import socket

import pytest
import requests

from prakerja.mockservices import Faults, serving
from prakerja.mockservices.control import from_options
from prakerja.mockservices.knobs import Wrong, changed
from tests.prakerja.mockservices.conftest import SECRET, send_sms


@pytest.fixture
def server():
    with serving(receipts_to="http://127.0.0.1:1/", receipt_secret="c2VjcmV0") as server:
        yield server


def put(server, body, **headers):
    return requests.put(server.url + "/control.json", json=body, headers=headers, timeout=10)


def post(server, form, **headers):
    return requests.post(server.url + "/control", data=form, headers=headers, allow_redirects=False, timeout=10)


def standing(server):
    return requests.get(server.url + "/control.json", timeout=10).json()


def test_a_program_changes_what_it_names_and_nothing_else(server):
    before = standing(server)

    answer = put(server, {"sms": {"fail_percent": 30, "outages": [[60, 600]]}, "receipts": {"dropped_percent": "10"}})

    assert answer.status_code == 200
    assert answer.json() == standing(server)
    assert answer.json() == {
        **before,
        "sms": {**before["sms"], "fail_percent": 30.0, "outages": [[60.0, 600.0]]},
        "receipts": {**before["receipts"], "dropped_percent": 10.0},
    }


def test_what_stands_can_be_put_back(server):
    put(server, {"sms": {"fail_percent": 30, "outages": [[60, 600]], "seed": 7}})
    kept = standing(server)
    put(server, {"all": None})

    assert put(server, kept).json() == kept


def test_all_comes_first_and_one_service_after_it(server):
    found = put(server, {"sms": {"fail_percent": 1}, "all": {"fail_percent": 50}}).json()

    assert [found[name]["fail_percent"] for name in ("dukcapil", "email", "sms")] == [50, 50, 1]


def test_all_well_leaves_quota_and_seed(server):
    put(server, {"all": {"fail_percent": 50, "quota_calls": 9, "seed": 3, "outage_now_s": 60}})
    put(server, {"receipts": {"late_percent": 9, "delivered_after_s": 5}})

    found = put(server, {"all": None}).json()

    assert found["sms"] | {"fail_percent": 0, "outage_now_s": 0, "quota_calls": 9, "seed": 3} == found["sms"]
    assert found["receipts"] | {"late_percent": 0, "delivered_after_s": 5} == found["receipts"]


def test_an_outage_begins_now_and_ends_when_it_is_told_to(server):
    found = put(server, {"sms": {"outage_now_s": 60}}).json()

    assert 59 < found["sms"]["outage_now_s"] <= 60
    assert found["email"]["outage_now_s"] == 0
    assert send_sms(server, "1").status_code == 503
    put(server, {"sms": {"outage_now_s": 0}})
    assert send_sms(server, "1").status_code == 200


def test_receipts_can_be_sent_for(receiver):
    with serving(receipts_to=receiver.url, receipt_secret=base64.b64encode(SECRET).decode()) as server:
        put(server, {"receipts": {"sent_after_s": 3600}})
        send_sms(server, "1")
        assert receiver.calls == []

        put(server, {"receipts": {"send_now": True}})

        assert receiver.has_all_of(server).genuine == [("1", "sent"), ("1", "delivered")]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"sms": {"fail_percent": 101}}, "sms.fail_percent: at most 100"),
        ({"sms": {"fail_percent": -1}}, "sms.fail_percent: '-1' is no number from 0 on"),
        ({"sms": {"fail_percent": True}}, "sms.fail_percent: 'True' is no number from 0 on"),
        ({"sms": {"fail_percent": "NaN"}}, "sms.fail_percent: 'NaN' is no number from 0 on"),
        ({"sms": {"outage_now_s": []}}, "sms.outage_now_s: '[]' is no number from 0 on"),
        ({"sms": {"seed": 1.5}}, "sms.seed: 1.5 is not whole"),
        ({"sms": {"outages": "60"}}, "sms.outages: '60' is not of the form 60:600 900:30"),
        ({"sms": {"outages": 60}}, "sms.outages: '60' is not of the form 60:600 900:30"),
        ({"sms": {"fail": 1}}, "sms.fail: no such name; there are latency_ms"),
        ({"fax": {}}, "fax: no such name; there are all, dukcapil, email, sms, payout, receipts"),
        ({"sms": 7}, "sms: an object is wanted, or null"),
        ([], "an object is wanted"),
    ],
)
def test_a_wrong_value_is_refused_in_plain_words_and_changes_nothing(server, body, said):
    before = standing(server)

    answer = put(server, {"email": {"fail_percent": 5}, **body} if isinstance(body, dict) else body)

    assert answer.status_code == 422
    assert answer.json()["error"].startswith(said)
    assert standing(server) == before


def test_what_is_no_json_is_refused(server):
    assert requests.put(server.url + "/control.json", data=b"{", timeout=10).status_code == 422


def test_the_page_shows_what_stands_and_what_was_counted(server):
    put(server, {"sms": {"fail_percent": 12.5}})
    send_sms(server, "1", "2")

    page = requests.get(server.url + "/", timeout=10)

    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert 'name="fail_percent" value="12.5"' in page.text
    assert re.search(r"records</th><td>0</td><td>0</td><td>2</td>", page.text)


def test_a_form_of_the_page_sets_the_faults_of_a_service(server):
    answer = post(server, {"of": "sms", "do": "apply", "fail_percent": " 30 ", "outages": "60:600 900:30", "latency_ms": ""})

    assert (answer.status_code, answer.headers["Location"]) == (303, "/#sms")
    assert standing(server)["sms"]["fail_percent"] == 30
    assert standing(server)["sms"]["outages"] == [[60, 600], [900, 30]]


@pytest.mark.parametrize("of", ["dukcapil", "sms", "receipts"])
def test_all_that_can_be_set_stands_in_a_form_of_the_page_and_is_set_by_it(server, of):
    settable = standing(server)[of].keys() - {"outage_now_s"}
    page = requests.get(server.url + "/", timeout=10).text
    [form] = [form for form in re.findall("<form.*?</form>", page, re.DOTALL) if f'value="{of}"' in form]
    assert set(re.findall(r'<input name="(\w+)" value', form)) - {"outage_now_s"} == settable
    wanted = {name: [[60, 600]] if name == "outages" else number for number, name in enumerate(sorted(settable), 1)}

    answer = post(server, {"of": of, "do": "apply"} | wanted | ({"outages": "60:600"} if "outages" in wanted else {}))

    assert answer.status_code == 303
    assert {name: value for name, value in standing(server)[of].items() if name in wanted} == wanted


@pytest.mark.parametrize("of", ["all", "sms"])
def test_the_buttons_of_the_page_begin_and_end_trouble(server, of):
    post(server, {"of": of, "do": "outage", "outage_now_s": "30"})
    assert send_sms(server, "1").status_code == 503

    post(server, {"of": of, "do": "well", "outage_now_s": "30"})
    assert send_sms(server, "1").status_code == 200


def test_a_wrong_form_is_told_on_the_page(server):
    answer = post(server, {"of": "sms", "do": "apply", "fail_percent": "<b>many</b>"})

    assert answer.status_code == 422
    assert "sms.fail_percent: &#x27;&lt;b&gt;many&lt;/b&gt;&#x27; is no number" in answer.text
    assert post(server, {"of": "sms"}).status_code == 422


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_page_of_another_site_changes_nothing(server, headers):
    assert put(server, {"sms": {"fail_percent": 9}}, **headers).status_code == 403
    assert post(server, {"of": "sms", "do": "outage", "outage_now_s": "9"}, **headers).status_code == 403
    assert standing(server)["sms"] | {"fail_percent": 0, "outage_now_s": 0} == standing(server)["sms"]


def test_its_own_page_may(server):
    headers = {"Origin": server.url, "Sec-Fetch-Site": "same-origin"}

    assert post(server, {"of": "sms", "do": "well"}, **headers).status_code == 303


@pytest.mark.parametrize("path", ["/", "/control.json", "/ledger", "/ledger/calls", "/mailbox", "/phone"])
@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1:1", "10.0.0.1", "[", ""])
def test_under_a_name_that_is_not_this_machines_there_is_nothing(server, path, host):
    assert requests.get(server.url + path, headers={"Host": host}, timeout=10).status_code == 404


@pytest.mark.parametrize("path", ["/nowhere", "/ledger/references", "/ledger/references?service=fax"])
def test_elsewhere_there_is_nothing(server, path):
    assert requests.get(server.url + path, timeout=10).status_code == 404
    assert requests.put(server.url + path, json={}, timeout=10).status_code == 404


def test_a_body_of_unknown_length_is_not_read(server):
    with socket.create_connection(server.server_address[:2]) as caller:
        caller.sendall(b"PUT /control.json HTTP/1.1\r\nHost: localhost\r\n\r\n")

        assert b" 413 " in caller.recv(100)


def test_options_are_read_as_they_stand_in_the_json():
    wanted = from_options(["sms.fail_percent=30", "sms.outages=60:600", "all.latency_ms=5"])

    assert wanted == {"sms": {"fail_percent": "30", "outages": "60:600"}, "all": {"latency_ms": "5"}}


@pytest.mark.parametrize("option", ["sms.fail_percent", "fail_percent=30", ""])
def test_an_option_of_another_form_is_refused(option):
    with pytest.raises(Wrong, match=r"WHERE\.NAME=VALUE"):
        from_options([option])


def test_text_and_json_mean_the_same():
    assert changed(Faults(), {"outages": "60:600, 900:30", "seed": "7"}) == changed(
        Faults(), {"outages": [[60, 600], [900, 30]], "seed": 7}
    )
