"""A partner calls so often, whoever counts; the answers say what is left."""

import secrets

import pytest
import redis
from django.conf import settings as django_settings
from django.test import Client

from partners import limits
from tests.partners.cast import COMMIT, an_address, api, make_partner, signed
from tests.processes import wait_until

LOG = "/api/v1/webhooks/"


def told(answer):
    return {name: answer.headers.get(f"RateLimit-{name}") for name in ("Limit", "Remaining", "Policy")}


@pytest.mark.django_db
def test_the_answers_say_what_is_left_and_when_to_come_back(settings):
    settings.PARTNER_RATE = 2
    caller = api(make_partner(f"p-{secrets.token_hex(6)}"))

    answers = [caller.get(LOG) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [told(answer) for answer in answers] == [
        {"Limit": "2", "Remaining": remaining, "Policy": "2;w=60"} for remaining in ("1", "0", "0")
    ]
    assert 1 <= int(answers[2].headers["Retry-After"]) <= 60
    assert answers[2].headers["Retry-After"] == answers[2].headers["RateLimit-Reset"]
    assert answers[2].json()["type"] == "urn:prakerja:problem:too-many-requests"


def with_a_token(partner):
    return api(partner).get(LOG)


def with_a_signature(partner):
    return Client().post(COMMIT, b"{}", content_type="application/json", **signed(partner, body=b"{}"))


@pytest.mark.django_db
@pytest.mark.parametrize(("call", "good"), [(with_a_token, 200), (with_a_signature, 400)])
def test_one_partners_calls_are_not_anothers(settings, call, good):
    settings.PARTNER_RATE = 1
    first, second = (make_partner(f"p-{secrets.token_hex(6)}") for _ in range(2))

    answers = [call(partner) for partner in (first, first, second)]

    assert [answer.status_code for answer in answers] == [good, 429, good]
    assert [told(answer)["Remaining"] for answer in answers] == ["0"] * 3


@pytest.mark.django_db
def test_calls_with_a_token_and_with_a_signature_are_counted_together(settings):
    settings.PARTNER_RATE = 1
    partner = make_partner(f"p-{secrets.token_hex(6)}")

    assert [call(partner).status_code for call in (with_a_token, with_a_signature)] == [200, 429]


@pytest.mark.django_db
def test_strangers_are_counted_by_their_address(settings, client):
    settings.STRANGER_RATE = 1
    here = {"REMOTE_ADDR": an_address()}

    assert [client.get("/api/v1/schema/", **here).status_code for _ in range(2)] == [200, 429]
    assert client.get("/api/v1/schema/", REMOTE_ADDR=an_address()).status_code == 200


def test_a_forged_address_does_not_help_without_a_proxy(settings):
    from rest_framework.settings import api_settings

    assert api_settings.NUM_PROXIES == 0, "X-Forwarded-For is believed from a counted chain of proxies only"


def counters(url, **options):
    return limits.Counters(redis.Redis.from_url(url, socket_timeout=0.2, socket_connect_timeout=0.2), **options)


def broker():
    return django_settings.REDIS_URL.replace("redis+socket://", "unix://").replace("virtual_host=", "db=")


def test_all_processes_count_together():
    one, other, who = counters(broker()), counters(broker()), secrets.token_hex(8)

    used = [counter.spend(who, 3).used for counter in (one, other, one, other)]

    assert used == [1, 2, 3, 4]


def test_without_redis_each_process_counts_and_more_strictly():
    alone = counters("redis://127.0.0.1:1/0")

    spent = [alone.spend("somebody", 8) for _ in range(3)]

    assert [one.allowed for one in spent] == [True, True, False]
    assert alone.spend("somebody else", 8).allowed


def test_an_erased_redis_forgets_and_goes_on():
    counter, who = counters(broker()), secrets.token_hex(8)
    counter.spend(who, 1)

    redis.Redis.from_url(broker()).script_flush()
    redis.Redis.from_url(broker()).delete(f"limit:{who}")

    assert counter.spend(who, 1).used == 1


def test_when_the_window_is_over_all_is_given_back():
    counter, who = counters(broker(), window=0.2), secrets.token_hex(8)
    assert [counter.spend(who, 1).allowed for _ in range(2)] == [True, False]

    wait_until(lambda: counter.spend(who, 1, calls=0).left > 0, seconds=10, what="the window is over")

    assert counter.spend(who, 1).allowed


def test_so_it_is_without_redis():
    clock = [1_000_000.0]
    alone, shorter = (counters("redis://127.0.0.1:1/0", window=window, clock=lambda: clock[0]) for window in (60, 6))
    assert [[counter.spend("somebody", 4).allowed for _ in range(2)] for counter in (alone, shorter)] == [[True, False]] * 2

    clock[0] += 10

    assert [counter.spend("somebody", 4).allowed for counter in (alone, shorter)] == [False, True]


@pytest.mark.parametrize("url", ["broker", "nowhere"])
def test_to_look_spends_nothing(url):
    counter, who = counters(broker() if url == "broker" else "redis://127.0.0.1:1/0"), secrets.token_hex(8)

    before = [counter.spend(who, 8, calls=0).used for _ in range(3)]
    counter.spend(who, 8)

    assert before == [0, 0, 0]
    assert counter.spend(who, 8, calls=0).used == 1
