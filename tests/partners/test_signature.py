"""Calls signed in the older form: taken as the programme's clients in seven languages send them, and refused when anything is off."""

import hashlib
import hmac
import json
import time

import pytest

from foundation import pg
from partners import keys, signature
from partners.models import Secret
from tests.partners.cast import COMMIT, SIGN_KEY, make_partner, signed

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.partners.shop")]

SHOP = COMMIT


def mac(text: str, key: bytes = SIGN_KEY) -> str:
    return hmac.new(key, text.encode(), hashlib.sha1).hexdigest()


def call(client, headers, body, path=COMMIT):
    return client.post(path, body, content_type="application/json", **headers)


def headers_of(sent_as: str, at: int | None = None, partner: str = "tokopedia", **parts: str) -> dict[str, str]:
    """As a client does it that signs this text as the body."""
    timestamp = str(at or int(time.time()))
    text = parts.get("text", f"{partner}{timestamp}POST{COMMIT}{sent_as}")
    return {"HTTP_CLIENT_CODE": partner, "HTTP_TIMESTAMP": timestamp, "HTTP_SIGNATURE": mac(text)}


def test_the_published_vector_is_ours():
    said = signature.Given("myclient_code", "1516239022", "", "POST", COMMIT, b'{"redeem_code":"code"}')

    assert signature.sign(b"my_sign_key", signature.text(said, said.body)) == "943c20a8e36b6243f576404b00fffdc86411ce1f"


VALUE = {"redeem_code": "A/B-é", "sequence": 1}
COMPACT = json.dumps(VALUE, separators=(",", ":"), ensure_ascii=False)
#: What is signed, and what is sent, as the languages write it when nobody tells them otherwise.
CLIENTS = {
    "JavaScript, JSON.stringify for both": (COMPACT, COMPACT),
    "Go, json.Marshal for both": (COMPACT, COMPACT),
    "PHP, json_encode escapes slashes and é": (r'{"redeem_code":"A\/B-\u00e9","sequence":1}',) * 2,
    "PHP, signs with JSON_UNESCAPED_SLASHES and sends without": (
        r'{"redeem_code":"A/B-\u00e9","sequence":1}',
        r'{"redeem_code":"A\/B-\u00e9","sequence":1}',
    ),
    "Python, signs compactly and sends json.dumps": (json.dumps(VALUE, separators=(",", ":")), json.dumps(VALUE)),
    "Python, signs json.dumps and sends the same": (json.dumps(VALUE), json.dumps(VALUE)),
    "Python, sends with ensure_ascii=False": (json.dumps(VALUE, separators=(",", ":")), COMPACT),
    "Ruby, to_json signed, JSON.pretty_generate sent": (COMPACT, json.dumps(VALUE, indent=2, ensure_ascii=False)),
    "Java, a HashMap's own order signed with Gson": (COMPACT, '{"sequence": 1, "redeem_code": "A/B-é"}'),
    "C#, System.Text.Json escapes é in capitals": (r'{"redeem_code":"A/B-\u00E9","sequence":1}',) * 2,
    "C#, WriteIndented with CRLF sent": (COMPACT, json.dumps(VALUE, indent=2, ensure_ascii=False).replace("\n", "\r\n")),
}


@pytest.mark.parametrize("client_name", CLIENTS)
def test_it_takes_what_the_languages_send(client, client_name):
    make_partner()
    as_signed, as_sent = CLIENTS[client_name]

    answer = call(client, headers_of(as_signed), as_sent)

    assert answer.status_code == 200, answer.json()
    assert answer.json()["data"] == {"partner": "tokopedia", **VALUE}


@pytest.mark.parametrize("names", [("client_code", "timestamp", "signature"), ("Client-Code", "Timestamp", "SIGNATURE")])
def test_header_names_come_in_any_case_with_either_dash(names):
    make_partner()
    body = b'{"redeem_code":"code"}'
    values = (value for value in signed("tokopedia", body=body).values())

    class Request:
        method, path = "post", COMMIT
        headers = dict(zip(names, values, strict=True))

    Request.body = body

    assert signature.verify(Request()).pk == "tokopedia"


def test_capital_hexadecimal_digits_are_digits(client):
    make_partner()
    headers = headers_of("{}")
    headers["HTTP_SIGNATURE"] = headers["HTTP_SIGNATURE"].upper()

    assert call(client, headers, "{}").status_code == 200


def test_both_live_keys_count_and_older_ones_do_not(client):
    partner = make_partner()
    keys.keep(partner.pk, Secret.Use.SIGN, b"second")
    both = [call(client, signed(partner, body=b"{}", key=key), "{}").status_code for key in (SIGN_KEY, b"second")]

    keys.keep(partner.pk, Secret.Use.SIGN, b"third")
    now = [call(client, signed(partner, body=b"{}", key=key), "{}").status_code for key in (SIGN_KEY, b"second", b"third")]

    assert both == [200, 200]
    assert now == [401, 200, 200]


BODY = '{"redeem_code":"code"}'
REFUSED = {
    "no signature": lambda good: good | {"HTTP_SIGNATURE": ""},
    "no code": lambda good: good | {"HTTP_CLIENT_CODE": ""},
    "no timestamp": lambda good: good | {"HTTP_TIMESTAMP": ""},
    "nothing at all": lambda good: {},
    "a changed digit": lambda good: good | {"HTTP_SIGNATURE": good["HTTP_SIGNATURE"][:-1] + "x"},
    "another's code": lambda good: good | {"HTTP_CLIENT_CODE": "bukalapak"},
    "an unknown code": lambda good: good | {"HTTP_CLIENT_CODE": "nobody"},
    "a code with NUL": lambda good: good | {"HTTP_CLIENT_CODE": "toko\0pedia"},
    "another timestamp": lambda good: good | {"HTTP_TIMESTAMP": str(int(good["HTTP_TIMESTAMP"]) + 1)},
    "a timestamp in words": lambda good: good | {"HTTP_TIMESTAMP": "now"},
    "a timestamp of Arabic digits": lambda good: good | {"HTTP_TIMESTAMP": "١٥١٦٢٣٩٠٢٢"},
    "milliseconds": lambda good: headers_of(BODY, at=int(time.time() * 1000)),
    "more than five minutes ago": lambda good: headers_of(BODY, at=int(time.time()) - 310),
    "more than five minutes ahead": lambda good: headers_of(BODY, at=int(time.time()) + 310),
    "another method": lambda good: headers_of("", text=f"tokopedia{good['HTTP_TIMESTAMP']}GET{COMMIT}{BODY}"),
    "another path": lambda good: headers_of("", text=f"tokopedia{good['HTTP_TIMESTAMP']}POST{COMMIT}/{BODY}"),
    "another key": lambda good: signed("tokopedia", body=BODY.encode(), key=b"another"),
    "no ASCII": lambda good: good | {"HTTP_SIGNATURE": "é" * 40},
}


@pytest.mark.parametrize("what", REFUSED)
def test_anything_off_is_refused_in_the_older_form(client, what):
    make_partner()
    keys.keep(make_partner("bukalapak").pk, Secret.Use.SIGN, b"bukalapak's own")
    keys.keep("bukalapak", Secret.Use.SIGN, b"bukalapak's other")

    answer = call(client, REFUSED[what](signed("tokopedia", body=BODY.encode())), BODY)

    assert answer.status_code == 401
    assert answer.json().keys() == {"success", "message", "data"}
    assert answer.json()["success"] is False


@pytest.mark.parametrize("seconds", [-290, 290])
def test_a_clock_may_be_wrong_by_almost_five_minutes(client, seconds):
    make_partner()

    assert call(client, headers_of(BODY, at=int(time.time()) + seconds), BODY).status_code == 200


@pytest.mark.parametrize("changed", ['{"redeem_code":"Code"}', '{"redeem_code":"code","sequence":1}', "{}", "", '["code"]'])
def test_a_signature_does_not_go_with_another_body(client, changed):
    make_partner()
    good = signed("tokopedia", body=BODY.encode())
    assert call(client, good, BODY).status_code == 200

    assert call(client, good, changed).status_code == 401


def test_a_partner_who_has_left_is_refused(client):
    partner = make_partner()
    partner.is_active = False
    partner.save()

    assert call(client, signed(partner, body=b"{}"), "{}").status_code == 401


def test_a_body_that_is_no_json_can_be_signed_but_not_taken(client):
    make_partner()
    for body in ('{"a":1,"a":2}', "{", "NaN"):
        answer = call(client, headers_of(body), body)

        assert answer.status_code == 400, body
        assert answer.json()["success"] is False


def test_refusals_about_the_matter_are_in_the_older_form_too(client):
    make_partner()
    body = '{"redeem_code":"used"}'

    answer = call(client, headers_of(body), body)

    assert (answer.status_code, answer.json()) == (422, {"success": False, "message": "The code was used.", "data": None})


MISTAKES = {
    "64 hexadecimal": lambda said, key: said._replace(
        signature=hmac.new(key, signature.text(said, said.body), hashlib.sha256).hexdigest()
    ),
    "base64": lambda said, key: said._replace(signature="lDwgqONrYkP1dkBLAP/9yGQRzh8="),
    "the path without the slash": lambda said, key: said._replace(path=said.path[1:]),
    "small letters": lambda said, key: said._replace(method="post"),
    "no body": lambda said, key: said._replace(body=b""),
    "no timestamp": lambda said, key: said._replace(timestamp=""),
    "/api/v1": lambda said, key: said._replace(path=said.path.removeprefix("/api/v1")),
}


@pytest.mark.parametrize("word", MISTAKES)
def test_the_usual_mistakes_are_told_by_name(word):
    make_partner()
    said = signature.Given("tokopedia", str(int(time.time())), "", "POST", COMMIT, BODY.encode())
    wrong = MISTAKES[word](said, SIGN_KEY)
    wrong_signature = wrong.signature or signature.sign(SIGN_KEY, signature.text(wrong, wrong.body))

    found = signature.explain(said._replace(signature=wrong_signature), now=pg.now())

    assert not found.accepted
    assert word in " ".join(found.findings)


def test_missing_unknown_and_ill_timed_are_told():
    make_partner()
    nothing = signature.Given("", "", "", "POST", COMMIT, b"{}")
    unknown = signature.Given("nobody", str(int(time.time() * 1000)), "0" * 40, "POST", COMMIT, b"{}")

    missing = signature.explain(nothing, now=pg.now()).findings
    told = " ".join(signature.explain(unknown, now=pg.now()).findings)

    assert len(missing) == 3
    assert "No partner" in told
    assert "milliseconds" in told
