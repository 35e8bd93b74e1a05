"""What partners tell us: taken only as they signed it, once, and applied later and once."""

import json
import random
import secrets
import time

import pytest
from django.db import connection

from foundation import webhooks as standard
from foundation.models import SetAside
from partners import inbox, keys
from partners.models import Message, Partner, Secret
from tests.partners.cast import make_partner

pytestmark = pytest.mark.django_db

URL = "/api/v1/inbox/bni/"
BODY = json.dumps({"type": "test.settled", "timestamp": "2020-10-01T00:00:00Z", "data": {"n": 1}}).encode()

heard: list[inbox.Told] = []


@inbox.applies("test.settled")
def settle(told):
    heard.extend(told)
    for one in told:
        SetAside.objects.create(queue="settled", subject=one.data["n"], reason=one.partner)


@inbox.applies("test.poison")
def poison(told):
    SetAside.objects.create(queue="settled", subject=0, reason="half done")
    raise ValueError("of Siti Rahmawati")


@pytest.fixture(autouse=True)
def _silence():
    heard.clear()


@pytest.fixture
def secret():
    make_partner("bni", platform=False, payer=True)
    return standard.secret_bytes(keys.rotate("bni", Secret.Use.IN))


def headers(secret, body=BODY, *, id=None, at=None):
    id, timestamp = id or f"msg_{secrets.token_hex(8)}", int(time.time()) if at is None else at
    return {
        "HTTP_WEBHOOK_ID": id,
        "HTTP_WEBHOOK_TIMESTAMP": str(timestamp),
        "HTTP_WEBHOOK_SIGNATURE": standard.sign(secret, id, timestamp, body),
    }


def tell(client, said, body=BODY, url=URL):
    return client.post(url, body, content_type="application/json", **said)


def test_a_message_is_kept_answered_and_applied_later(client, secret):
    answer = tell(client, headers(secret))
    assert (answer.status_code, answer.json()) == (200, {"accepted": True, "known": False})
    assert heard == []

    assert inbox.apply_batch(size=10) == 1

    [told] = heard
    assert (told.partner, told.kind, told.data) == ("bni", "test.settled", {"n": 1})
    assert Message.objects.get().state == Message.State.APPLIED
    assert inbox.apply_batch(size=10) == 0


def test_told_again_it_is_known_and_applied_once(client, secret):
    said = headers(secret, id="msg_1")
    other = json.dumps({"type": "test.settled", "data": {"n": 2}}).encode()

    answers = [tell(client, said), tell(client, said), tell(client, headers(secret, other, id="msg_1"), other)]
    inbox.apply_batch(size=10)

    assert [answer.json()["known"] for answer in answers] == [False, True, True]
    assert [told.data for told in heard] == [{"n": 1}]


def test_messages_are_applied_as_a_set(client, secret):
    for n in (3, 1, 2):
        body = json.dumps({"type": "test.settled", "data": {"n": n}}).encode()
        tell(client, headers(secret, body), body)

    inbox.apply_batch(size=10)

    assert [told.data["n"] for told in heard] == [3, 1, 2]


REFUSED = {
    "no headers": lambda said, secret: {},
    "another secret": lambda said, secret: headers(b"x" * 32),
    "more than five minutes ago": lambda said, secret: headers(secret, at=int(time.time()) - 310),
    "more than five minutes ahead": lambda said, secret: headers(secret, at=int(time.time()) + 310),
    "another id": lambda said, secret: said | {"HTTP_WEBHOOK_ID": "msg_2"},
    "a later time": lambda said, secret: said | {"HTTP_WEBHOOK_TIMESTAMP": str(int(said["HTTP_WEBHOOK_TIMESTAMP"]) + 1)},
    "another version": lambda said, secret: (
        said | {"HTTP_WEBHOOK_SIGNATURE": said["HTTP_WEBHOOK_SIGNATURE"].replace("v1", "v2")}
    ),
    "no time": lambda said, secret: said | {"HTTP_WEBHOOK_TIMESTAMP": "now"},
}


@pytest.mark.parametrize("what", REFUSED)
def test_forged_and_ill_timed_messages_are_refused(client, secret, what):
    answer = tell(client, REFUSED[what](headers(secret), secret))

    assert (answer.status_code, answer.json()["type"]) == (401, "urn:prakerja:problem:not-verified")
    assert not Message.objects.exists()


@pytest.mark.parametrize("seconds", [-290, 290])
def test_a_clock_may_be_wrong_by_almost_five_minutes(client, secret, seconds):
    assert tell(client, headers(secret, at=int(time.time()) + seconds)).status_code == 200


def test_a_flipped_bit_anywhere_is_found(client, secret):
    said, flips = headers(secret), random.Random(5)
    for _ in range(60):
        place = flips.randrange(len(BODY) * 8)
        changed = bytearray(BODY)
        changed[place // 8] ^= 1 << place % 8
        assert tell(client, said, bytes(changed)).status_code == 401
    assert tell(client, said).status_code == 200


def test_another_partners_secret_does_not_count(client, secret):
    make_partner("bri", platform=False, payer=True)
    theirs = standard.secret_bytes(keys.rotate("bri", Secret.Use.IN))

    assert tell(client, headers(theirs)).status_code == 401
    assert tell(client, headers(theirs), url="/api/v1/inbox/bri/").status_code == 200
    assert tell(client, headers(secret), url="/api/v1/inbox/nobody/").status_code == 401


def test_the_secret_before_is_good_until_the_next_time(client, secret):
    second = standard.secret_bytes(keys.rotate("bni", Secret.Use.IN))
    assert [tell(client, headers(one)).status_code for one in (secret, second)] == [200, 200]

    keys.rotate("bni", Secret.Use.IN)
    assert [tell(client, headers(one)).status_code for one in (secret, second)] == [401, 200]


def test_who_has_left_is_not_heard(client, secret):
    Partner.objects.update(is_active=False)

    assert tell(client, headers(secret)).status_code == 401


MALFORMED = [
    *(b"", b"{", b"[]", b"5", b"{}"),
    b'{"type":"x"}',
    b'{"type":5,"data":{}}',
    b'{"type":"x","data":[]}',
    b'{"type":"","data":{}}',
    b'{"type":"x","type":"y","data":{}}',
    b'{"type":"x","data":{"n":NaN}}',
    b'{"type":"' + b"x" * 51 + b'","data":{}}',
]


@pytest.mark.parametrize("body", MALFORMED)
def test_a_verified_but_malformed_message_is_told_so(client, secret, body):
    answer = tell(client, headers(secret, body), body)

    assert answer.status_code == 400
    assert not Message.objects.exists()


def test_a_megabyte_is_enough(client, secret):
    body = b'{"type":"x","data":{"n":"' + b"x" * inbox.MAX_BYTES + b'"}}'

    assert tell(client, headers(secret, body), body).status_code == 413


def test_a_kind_that_nobody_knows_is_kept(client, secret):
    body = b'{"type":"test.unheard","data":{}}'
    tell(client, headers(secret, body), body)

    inbox.apply_batch(size=10)

    assert Message.objects.get().state == Message.State.UNKNOWN


def test_a_poisonous_message_is_set_aside_and_the_others_are_applied(client, secret):
    body = b'{"type":"test.poison","data":{}}'
    tell(client, headers(secret, body), body)
    tell(client, headers(secret))

    for _ in range(10):
        inbox.apply_batch(size=10)
        with connection.cursor() as cursor:
            cursor.execute("UPDATE foundation_work SET since = clock_timestamp(), due_at = clock_timestamp()")

    assert dict(Message.objects.values_list("kind", "state")) == {
        "test.poison": Message.State.FAILED,
        "test.settled": Message.State.APPLIED,
    }
    assert not SetAside.objects.filter(reason="half done").exists()
    assert SetAside.objects.get(queue="inbox").reason == "ValueError"


def test_what_was_told_is_sealed(client, secret):
    body = json.dumps({"type": "x", "data": {"name": "Siti Rahmawati"}}).encode()
    tell(client, headers(secret, body), body)

    with connection.cursor() as cursor:
        cursor.execute("SELECT encode(sealed, 'escape') FROM partners_message")
        assert "Siti" not in cursor.fetchone()[0]
