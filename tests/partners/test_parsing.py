"""JSON has one meaning, and bounds: nothing else comes in."""

import json

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import settings as bounds
from hypothesis import strategies as st

from partners import parsing
from partners.scopes import Scope
from tests.partners.cast import Api, api, signed
from tests.partners.matrix import World, each, everything, writes

ORDERS = "/api/v1/orders/"
CONFORMANCE = "/api/v1/sandbox/conformance/"

REFUSED = {
    "a name twice": b'{"subject":1,"subject":2}',
    "a name twice, deep": b'{"subject":1,"note":{"a":1,"a":1}}',
    "NaN": b'{"subject":NaN}',
    "Infinity": b'{"subject":-Infinity}',
    "a number past all bounds": b'{"subject":1e999}',
    "more digits than anybody counts": b'{"subject":' + b"1" * 5000 + b"}",
    "21 deep": b"[" * 21 + b"]" * 21,
    "a million deep": b"[" * 1_000_000,
    "a million deep, objects": b'{"a":' * 1_000_000,
    "Latin-1": '{"note":"é"}'.encode("latin-1"),
    "UTF-16": '{"subject":1}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"subject":1}',
    "half a surrogate pair": rb'{"subject":1,"note":"\ud800"}',
    "NUL": rb'{"subject":1,"note":"\u0000"}',
    "NUL in a name": rb'{"\u0000":1}',
    "two values": b"{}{}",
    "a comma too many": b'{"subject":1,}',
    "single quotes": b"{'subject':1}",
    "cut in half": b'{"subject":',
    "blanks only": b"  ",
}
FORM = "application/x-www-form-urlencoded"
OTHER_FORMS = {
    FORM,
    "text/plain",
    "application/xml",
    "multipart/form-data; boundary=x",
}


@pytest.mark.parametrize("what", REFUSED)
def test_it_is_refused(what):
    with pytest.raises(parsing.Unreadable):
        parsing.read(REFUSED[what])


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 20 + b"]" * 20,
        rb'{"note":"\ud83d\ude00 \\u0000 \\ud800"}',
        '{"note":"é 😀"}'.encode(),
        b'{"n":12345678901234567890, "f": 1e10}',
        b"null",
    ],
)
def test_it_is_read_as_it_stands(body):
    assert parsing.read(body) == json.loads(body)


@bounds(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_read_or_refused(body):
    try:
        value = parsing.read(body)
    except parsing.Unreadable:
        return
    assert json.dumps(value, ensure_ascii=False).encode()


@bounds(max_examples=200, deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.text(st.characters(codec="utf-8", exclude_characters="\0")), st.lists))
def test_what_json_writes_is_read_back(value):
    text = json.dumps(value)
    if depth(value) > parsing.MAX_DEPTH:
        with pytest.raises(parsing.Unreadable, match="deep"):
            parsing.read(text.encode())
    else:
        assert parsing.read(text.encode()) == value


def depth(value):
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@pytest.mark.django_db
@pytest.mark.urls("tests.partners.shop")
def test_the_endpoint_answers_with_a_problem_and_does_nothing(caller):
    for what, body in REFUSED.items():
        answer = caller.post(ORDERS, body, content_type="application/json")
        assert answer.status_code == 400, what
        assert answer.headers["Content-Type"] == "application/problem+json"
    assert caller.get(ORDERS).json()["items"] == []


#: Of the open ones, those that do not read JSON as the others do: `test_tokens.py` and `test_inbox.py` are about them.
OTHERS = {"POST /api/v1/oauth/token", "POST /api/v1/inbox/{partner}/"}


def spoilt(text):
    """What is right but for how it is written."""
    first = next(iter(json.loads(text)))
    return {
        "right, a name twice": f'{{"{first}":null,{text[1:]}'.encode(),
        "right, a byte order mark": b"\xef\xbb\xbf" + text.encode(),
        "right, UTF-16": text.encode("utf-16"),
        "right, and another value": text.encode() + b"{}",
        "right, a comma too many": f"{text[:-1]},}}".encode(),
    }


@pytest.mark.django_db
@each([row for row in writes("scope", "token", "signed", "open") if row.name not in OTHERS])
def test_every_write_refuses_it_and_does_nothing(row):
    world = World(row)
    caller = api(world.owner) if row.opened_by != "signed" else Api()
    before = everything()

    def status(body, media_type):
        headers = signed(world.owner, path=world.own, body=body) if row.opened_by == "signed" else {}
        answer = caller.generic(row.method, world.own, body, media_type, **headers)
        if row.opened_by == "signed":
            assert (answer.json()["success"], answer.json()["data"]) == (False, None)
        else:
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert answer.json()["status"] == answer.status_code
        return answer.status_code

    takes_json = row.content_type == "application/json"
    # What is signed, or has no partner, is read as a whole and may be less.
    most = parsing.MAX_BYTES if row.opened_by in (*Scope, "token") else settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    wrong = REFUSED | (spoilt(json.dumps(world.body())) if takes_json and world.body() else {})
    told = {what: status(body, "application/json") for what, body in wrong.items()}
    too_large = status(b'{"a":"' + b"1" * parsing.MAX_BYTES + b'"}', row.content_type)
    taken = {row.content_type, FORM if row.path == CONFORMANCE else ""}
    others = {form: status(b"a=1", form) for form in OTHER_FORMS if form.partition(";")[0] not in taken}

    assert told == {what: 415 if not takes_json else 413 if len(body) > most else 400 for what, body in wrong.items()}
    assert too_large == 413
    assert others == dict.fromkeys(others, 415)
    assert everything() == before


@pytest.mark.django_db
@pytest.mark.urls("tests.partners.shop")
def test_ten_megabytes_are_taken_and_one_byte_more_is_not(caller):
    padded = b'{"subject":1' + b" " * (parsing.MAX_BYTES - 13) + b"}"

    assert caller.post(ORDERS, padded, content_type="application/json").status_code == 201
    answer = caller.post(ORDERS, padded + b" ", content_type="application/json")
    assert answer.status_code == 413
    assert answer.json()["type"] == "urn:prakerja:problem:too-large"


@pytest.mark.django_db
@pytest.mark.urls("tests.partners.shop")
def test_another_media_type_is_refused(caller):
    for media_type in OTHER_FORMS:
        assert caller.post(ORDERS, b"subject=1", content_type=media_type).status_code == 415
