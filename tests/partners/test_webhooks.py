"""What partners are told: with what causes it or not at all, signed, tried for a day, written down, told again when asked for."""

import json
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.db.models import F
from standardwebhooks import Webhook, WebhookVerificationError

from foundation import work
from partners import delivery, keys, webhooks
from partners.models import Address, Attempt, Event, Partner, Secret
from partners.outside import Undeliverable
from tests.clock import pass_time
from tests.partners.cast import api, make_partner
from tests.partners.test_outside import OK, listening

pytestmark = pytest.mark.django_db

LOG = "/api/v1/webhooks/"
DAY = timedelta(hours=24)


class Post:
    """Partners' sites: what each was sent, and how it answers (200, or as told)."""

    def __init__(self, **answers):
        self.answers = answers
        self.sent = []

    def __call__(self, url, body, headers):
        host = url.removeprefix("https://").partition(".")[0]
        self.sent.append((host, json.loads(body), headers, body))
        answer = self.answers.get(host, 200)
        if isinstance(answer, str):
            raise Undeliverable(answer)
        return answer

    def hosts(self):
        return [host for host, *_ in self.sent]


def listen(code="tokopedia"):
    partner = make_partner(code)
    secret = keys.rotate(code, Secret.Use.OUT)
    Address.objects.create(partner=partner, url=f"https://{code}.example/hook")
    return secret


def send(post):
    return delivery.send_batch(size=100, post=post)


def later(seconds=0, *, events_older_by=timedelta()):
    """Some time has passed, for the database."""
    pass_time(seconds)
    Address.objects.update(quiet_until=F("quiet_until") - timedelta(seconds=seconds))
    Event.objects.update(since=F("since") - events_older_by)


def test_a_partner_is_told_what_happened():
    secret = listen()
    post = Post()

    webhooks.emit("purchase.created", {"tokopedia": [{"redeem_code": "A1"}]})
    assert send(post) == 1

    [(_host, said, headers, body)] = post.sent
    event = Event.objects.get()
    assert said["type"] == "purchase.created"
    assert said["data"] == {"redeem_code": "A1"}
    assert headers["webhook-id"] == f"evt_{event.pk}"
    assert Webhook(secret).verify(body, headers) == said
    assert (event.state, event.attempts) == (Event.State.DELIVERED, 1)
    assert Attempt.objects.get().status == 200


def test_what_is_rolled_back_is_told_to_nobody():
    listen()

    with transaction.atomic():
        webhooks.emit("purchase.created", {"tokopedia": [{}]})
        transaction.set_rollback(True)

    assert send(Post()) == 0
    assert not Event.objects.exists()


def test_who_has_no_address_is_told_nothing():
    make_partner()

    assert webhooks.emit("purchase.created", {"tokopedia": [{}], "nobody": [{}]}) == 0


def test_a_thousand_partners_events_are_few_questions(django_assert_max_num_queries):
    listen()

    with django_assert_max_num_queries(8):
        assert webhooks.emit("purchase.created", {"tokopedia": [{"n": n} for n in range(1000)]}) == 1000


def test_both_live_secrets_sign_while_one_replaces_the_other():
    old = listen()
    new = keys.rotate("tokopedia", Secret.Use.OUT)
    post = Post()
    webhooks.emit("purchase.created", {"tokopedia": [{}]})

    send(post)

    [(_, _, headers, body)] = post.sent
    assert Webhook(old).verify(body, headers) == Webhook(new).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(keys.rotate("tokopedia", Secret.Use.OUT)).verify(body, headers)


@pytest.mark.parametrize("answer", [500, 404, 307, 429, "timeout"])
def test_a_bad_answer_is_written_down_and_tried_again_later(answer):
    listen()
    webhooks.emit("purchase.created", {"tokopedia": [{}]})

    send(Post(tokopedia=answer))

    attempt, address = Attempt.objects.get(), Address.objects.get()
    assert attempt.status == (answer if isinstance(answer, int) else None)
    assert attempt.reason == (answer if isinstance(answer, str) else "")
    assert address.failures == (0 if answer in (404, 307) else 1), "who refuses one event may take the next"
    assert send(Post()) == 0, "not at once"
    later(6)
    good = Post()
    assert send(good) == 1
    assert Event.objects.get().state == Event.State.DELIVERED
    assert Address.objects.get().failures == 0
    assert good.sent[0][2]["webhook-id"] == f"evt_{Event.objects.get().pk}"


def test_the_waits_grow_to_an_hour_and_stay():
    listen()
    webhooks.emit("purchase.created", {"tokopedia": [{}]})
    waits = []

    for _ in range(8):
        send(Post(tokopedia=500))
        with connection.cursor() as cursor:
            cursor.execute("SELECT extract(epoch FROM due_at - clock_timestamp())::float FROM foundation_work")
            waits.append(cursor.fetchone()[0])
        later(4000)

    for wait, wanted in zip(waits, [5, 30, 120, 600, 1800, 3600, 3600, 3600], strict=True):
        assert 0.85 * wanted < wait < 1.15 * wanted


@pytest.mark.parametrize("minutes", [-1, 1])
def test_it_is_tried_until_twenty_four_hours_are_over(minutes):
    listen()
    webhooks.emit("purchase.created", {"tokopedia": [{}]})
    later(events_older_by=DAY + timedelta(minutes=minutes))
    post = Post(tokopedia=500)

    send(post)
    state = Event.objects.get().state
    later(3600)
    send(post)

    assert (state, len(post.sent)) == ((Event.State.WAITING, 2) if minutes < 0 else (Event.State.GIVEN_UP, 1))


def test_after_a_day_it_is_given_up_and_can_be_told_again():
    listen()
    webhooks.emit("purchase.created", {"tokopedia": [{}]})
    later(events_older_by=DAY)

    send(Post(tokopedia=500))

    event = Event.objects.get()
    assert event.state == Event.State.GIVEN_UP
    assert work.outstanding(["webhooks"]) == 0

    answer = api(make_partner()).post(f"{LOG}{event.pk}/replay/")
    assert (answer.status_code, answer.json()["state"]) == (200, "waiting")
    post = Post()
    assert send(post) == 1
    assert post.sent[0][2]["webhook-id"] == f"evt_{event.pk}"
    assert Event.objects.get().state == Event.State.DELIVERED


def test_who_does_not_answer_holds_up_nobody_else():
    listen()
    listen("bukalapak")
    webhooks.emit(
        "purchase.created", {"tokopedia": [{"n": n} for n in range(20)], "bukalapak": [{"n": n} for n in range(20)]}
    )
    post = Post(tokopedia="timeout")

    send(post)

    assert post.hosts().count("bukalapak") == 20
    assert post.hosts().count("tokopedia") == 1, "after one time-out it is left alone"
    assert Event.objects.filter(state=Event.State.WAITING).count() == 20
    webhooks.emit("purchase.created", {"tokopedia": [{}]})
    quiet = Post()
    assert send(quiet) == 1
    assert quiet.sent == [], "also with what is new"
    later(10)
    send(quiet)
    assert quiet.hosts() == ["tokopedia"] * 21


def test_an_event_that_is_refused_does_not_hold_up_the_next_ones():
    listen()
    webhooks.emit("purchase.created", {"tokopedia": [{"n": n} for n in range(5)]})

    def post(url, body, headers):
        return 500 if json.loads(body)["data"]["n"] == 0 else 200

    send(post)
    later(6)
    webhooks.emit("purchase.created", {"tokopedia": [{"n": 5}]})
    send(post)

    states = dict(Event.objects.order_by("id").values_list("id", "state"))
    assert list(states.values()) == ["waiting"] + ["delivered"] * 5


def test_events_for_who_has_left_wait_and_cost_nothing():
    listen()
    webhooks.emit("purchase.created", {"tokopedia": [{}]})
    Partner.objects.update(is_active=False)
    post = Post()

    assert [send(post), send(post)] == [1, 0]
    Partner.objects.update(is_active=True)
    later(3600)
    assert send(post) == 1
    assert len(post.sent) == 1


def test_a_worker_that_dies_after_telling_tells_again_under_the_same_id():
    listen()
    webhooks.emit("purchase.created", {"tokopedia": [{}]})
    told = []

    def post(url, body, headers):
        told.append(headers["webhook-id"])
        if len(told) == 1:
            raise KeyboardInterrupt
        return 200

    with pytest.raises(KeyboardInterrupt):
        send(post)
    assert send(post) == 0, "the lease holds"
    later(61)
    send(post)

    assert told == [f"evt_{Event.objects.get().pk}"] * 2
    assert Event.objects.get().state == Event.State.DELIVERED


def test_what_it_says_is_sealed():
    listen()
    webhooks.emit("purchase.created", {"tokopedia": [{"name": "Siti Rahmawati"}]})

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT encode(sealed, 'escape') FROM partners_event UNION SELECT encode(sealed, 'escape') FROM partners_secret"
        )
        assert "Siti" not in str(cursor.fetchall())


def test_it_goes_over_the_wire_as_it_is_signed(settings):
    settings.SANDBOX = True
    secret = listen()

    def serve(connection, heard):
        received = b""
        while b"\r\n\r\n" not in received or not received.endswith(b"}"):
            received += connection.recv(65536)
        heard.append(received)
        connection.sendall(OK)

    with listening(serve) as (port, heard):
        Address.objects.update(url=f"http://127.0.0.1:{port}/hook")
        webhooks.emit("purchase.created", {"tokopedia": [{"title": "Bahasa Inggris – dasar"}]})
        delivery.send_batch(size=10)

    head, _, body = heard[0].partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().splitlines()[1:])
    assert Webhook(secret).verify(body, headers)["data"] == {"title": "Bahasa Inggris – dasar"}
    assert Event.objects.get().state == Event.State.DELIVERED


# What partners see of it


def test_the_log_tells_of_every_event_and_try(partner, caller):
    listen()
    webhooks.emit("purchase.created", {"tokopedia": [{"n": 1}]})
    send(Post(tokopedia=503))
    webhooks.emit("purchase.cancelled", {"tokopedia": [{"n": 2}]})

    items = caller.get(LOG).json()["items"]
    only = caller.get(f"{LOG}?type=purchase.created&state=waiting").json()["items"]
    detail = caller.get(f"{LOG}{only[0]['id']}/").json()

    assert [item["type"] for item in items] == ["purchase.cancelled", "purchase.created"]
    assert detail["data"] == {"n": 1}
    assert [attempt["status"] for attempt in detail["tries"]] == [503]


def test_what_is_on_its_way_is_not_told_twice(caller):
    listen()
    webhooks.emit("purchase.created", {"tokopedia": [{}]})

    answer = caller.post(f"{LOG}{Event.objects.get().pk}/replay/")

    assert (answer.status_code, answer.json()["type"]) == (409, "urn:prakerja:problem:still-waiting")
    assert work.outstanding(["webhooks"]) == 1


def test_an_address_is_set_after_a_secret_and_only_where_we_would_call(caller, settings):
    settings.SANDBOX = False
    url = {"url": "https://partner.example/hook"}

    assert caller.get(f"{LOG}address/").status_code == 404
    assert caller.put(f"{LOG}address/", url).json()["type"] == "urn:prakerja:problem:no-secret"
    secret = caller.post(f"{LOG}secrets/rotate/").json()["secret"]
    assert secret.startswith("whsec_")
    assert caller.put(f"{LOG}address/", url).status_code == 200
    assert caller.get(f"{LOG}address/").json()["url"] == url["url"]
    for bad in ("http://partner.example/", "https://10.0.0.1/", "https://[::1]/", "https://a:b@partner.example/", ""):
        assert caller.put(f"{LOG}address/", {"url": bad}).status_code == 400, bad


def test_a_secret_is_shown_again_only_to_who_repeats_the_very_call(caller):
    first = caller.write(f"{LOG}secrets/rotate/", {}, key="k").json()
    again = caller.write(f"{LOG}secrets/rotate/", {}, key="k").json()
    other = caller.write(f"{LOG}secrets/rotate/", {}, key="l").json()

    assert first == again
    assert first != other
    assert Secret.objects.filter(use=Secret.Use.OUT).count() == 2
