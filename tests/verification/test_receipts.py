"""Delivery receipts: late, doubled, shuffled, forged or about nobody; what is known of a message only goes up."""

import base64
import json
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F, Sum
from django.test import Client
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from foundation.failover import Failover
from foundation.models import Carriage, ServiceState, Work
from foundation.services import Unavailable
from foundation.sms import Delivery, HttpSms, Sms
from foundation.webhooks import sign
from prakerja.mockservices import ReceiptFaults, serving
from registrations.models import Registrant
from registrations.session import SESSION_KEY
from registrations.stages import DropOff, Stage
from tests.clock import fall_due
from tests.people import make_registrant, make_registrants
from tests.processes import wait_until
from verification import codes, delivery, phone, receipts
from verification.delivery import News
from verification.models import DeliveryState as State
from verification.models import OneTimeCode, ReceiptDay

pytestmark = pytest.mark.django_db

SECRET, OLD_SECRET = b"a secret of 32 bytes, no less ..", b"the secret of before, also known"
URL = "/api/v1/sms/receipts/"


@pytest.fixture(autouse=True)
def secrets(settings):
    settings.SMS_RECEIPT_SECRETS = [f"whsec_{base64.b64encode(SECRET).decode()}", base64.b64encode(OLD_SECRET).decode()]


class Provider:
    """Accepts everything, unless `script` has something else to answer or to raise."""

    def __init__(self):
        self.texts = []
        self.script = []

    def send(self, messages):
        self.texts += messages
        answer = self.script.pop(0) if self.script else Delivery.ACCEPTED
        if isinstance(answer, Exception):
            raise answer
        return [answer] * len(messages)


def itself(provider):
    return provider


@pytest.fixture
def providers():
    return Provider(), Provider()


@pytest.fixture
def sms(providers):
    return Failover([{"BACKEND": f"{__name__}.itself", "OPTIONS": {"provider": provider}} for provider in providers])


def send(sms):
    fall_due()
    return phone.send_batch(sms=sms, size=1000)


def sent_to(count, sms):
    """So many people, to whom a code was sent just now; their ids."""
    ids = make_registrants(count, stage=Stage.IDENTITY_VERIFIED)
    for id in ids:
        phone.send_code(id)
    send(sms)
    return ids


def reference(id):
    return f"{id}.{OneTimeCode.objects.get(pk=id).challenge.hex}"


def state(id):
    """The provider's number, and what is known."""
    number, known = divmod(OneTimeCode.objects.get(pk=id).delivery, 10)
    return number, State(known)


def later(seconds):
    OneTimeCode.objects.update(expires_at=F("expires_at") - timedelta(seconds=seconds))
    for row in Carriage.objects.order_by("slot"):
        Carriage.objects.filter(pk=row.pk).update(slot=row.slot - timedelta(seconds=seconds))
    ServiceState.objects.update(probe_at=F("probe_at") - timedelta(seconds=seconds))


def may_ask_again(id):
    OneTimeCode.objects.filter(pk=id).update(sent_at=[])


def receipt(reference, status, at="2020-04-11T01:02:03Z"):
    return {"reference": reference, "status": status, "at": at}


def post(told, *, secret=SECRET, webhook_id="msg_1", age=0, body=None, **headers):
    body = json.dumps({"receipts": told}).encode() if body is None else body
    timestamp = int(time.time()) - age
    headers = {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(secret, webhook_id, timestamp, body),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return Client(enforce_csrf_checks=True).post(URL, body, content_type="application/json", headers=headers)


# Receipts


def test_receipts_raise_what_is_known_of_a_message(sms):
    [one, other] = sent_to(2, sms)
    assert state(one) == (1, State.ACCEPTED)

    assert post([receipt(reference(one), "sent"), receipt(reference(other), "failed")]).status_code == 200
    assert (state(one), state(other)) == ((1, State.SENT), (1, State.FAILED))

    assert post([receipt(reference(one), "delivered")]).json() == {"applied": 1, "repeated": 0, "unknown": 0}
    assert state(one) == (1, State.DELIVERED)


def test_a_call_that_comes_twice_changes_nothing_and_is_thanked_for(sms):
    [id] = sent_to(1, sms)
    told = [receipt(reference(id), "delivered")]

    answers = [post(told) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert [answer.json()["applied"] for answer in answers] == [1, 0, 0]
    assert Carriage.objects.get().delivered == 1, "and it counts once"


@hypothesis(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    calls=st.lists(
        st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["sent", "failed", "delivered"])), max_size=6), max_size=6
    )
)
def test_receipts_never_move_a_state_backwards(sms, calls):
    ids = list(OneTimeCode.objects.order_by("pk").values_list("pk", flat=True)) or sent_to(4, sms)
    OneTimeCode.objects.update(delivery=10 + State.ACCEPTED)
    Carriage.objects.update(accepted=4, delivered=0)
    rank = {"sent": State.SENT, "failed": State.FAILED, "delivered": State.DELIVERED}
    highest = dict.fromkeys(ids, State.ACCEPTED)

    for call in calls:
        before = {id: state(id) for id in ids}
        post([receipt(reference(ids[who]), status) for who, status in call])
        for who, status in call:
            highest[ids[who]] = max(highest[ids[who]], rank[status])
        assert all(state(id) >= before[id] for id in ids)

    assert {id: state(id) for id in ids} == {id: (1, known) for id, known in highest.items()}
    assert sum(Carriage.objects.values_list("delivered", flat=True)) == list(highest.values()).count(State.DELIVERED)


@pytest.mark.django_db(transaction=True)
def test_receipts_that_come_all_at_once_are_each_applied_once(sms):
    ids = sent_to(200, sms)
    references = [reference(id) for id in ids]

    def tell(number):
        try:
            told = [receipts.Receipt(of, known) for of in references for known in (State.SENT, State.DELIVERED)]
            random.Random(number).shuffle(told)
            return sum(receipts.apply(told[start : start + 50]).applied for start in range(0, 400, 50))
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        applied = sum(pool.map(tell, range(8)))

    assert 200 <= applied <= 400, "some were sent first, and some delivered at once"
    assert {state(id) for id in ids} == {(1, State.DELIVERED)}
    assert sum(Carriage.objects.values_list("delivered", flat=True)) == 200


@pytest.mark.django_db(transaction=True)
def test_a_hundred_thousand_receipts_in_any_order_come_to_the_highest_of_each(sms):
    """Two thousand messages, fifty receipts of each, shuffled, doubled, and in calls of 500."""
    ids, rng = sent_to(2000, sms), random.Random(13)
    known_of = [State.SENT, State.FAILED, State.DELIVERED]
    ends = {reference(id): rng.choice(known_of) for id in ids}
    told = [
        receipts.Receipt(of, rng.choice([known for known in known_of if known <= end]))
        for of, end in ends.items()
        for _ in range(49)
    ]
    told += [receipts.Receipt(of, end) for of, end in ends.items()]
    rng.shuffle(told)
    assert len(told) == 100_000

    came = [receipts.apply(told[start : start + 500]) for start in range(0, len(told), 500)]

    assert {reference(id): state(id)[1] for id in ids} == ends
    assert sum(one.applied + one.repeated for one in came) == 100_000
    assert sum(one.unknown for one in came) == 0


def test_many_receipts_take_few_statements(sms, django_assert_max_num_queries):
    ids = sent_to(50, sms)
    told = [receipt(reference(id), status) for id in ids for status in ("sent", "delivered")]

    with django_assert_max_num_queries(9):
        assert post(told).json() == {"applied": 50, "repeated": 50, "unknown": 0}


def test_a_receipt_a_day_late_is_applied_as_long_as_it_is_about_the_newest_code(sms):
    [id] = sent_to(1, sms)
    old = reference(id)
    later(seconds=86_000)

    post([receipt(old, "sent")])
    assert state(id) == (1, State.SENT)

    may_ask_again(id)
    phone.send_code(id)
    send(sms)
    assert post([receipt(old, "delivered")]).json()["unknown"] == 1
    assert state(id) == (2, State.ACCEPTED)


def test_receipts_about_nobody_are_counted_and_not_applied(sms):
    [id] = sent_to(1, sms)
    challenge = reference(id).partition(".")[2]
    strange = [
        receipt(f"{id + 1}.{challenge}", "delivered"),
        receipt(f"{id}.{'0' * 32}", "delivered"),
        receipt(f"{id}.{challenge}0", "delivered"),
        receipt(f"0{id}.{challenge}", "delivered"),
        receipt(f"{10**18}.{challenge}", "delivered"),
        receipt("' OR 1=1 --", "delivered"),
        receipt("\0", "delivered"),
        receipt(f"{id}.{challenge}", "DELIVERED"),
        receipt(f"{id}.{challenge}", "delivered", at="yesterday"),
        receipt(f"{id}.{challenge}", "delivered", at="2020-04-11T01:02:03"),
        receipt(id, ["delivered"]),
        "delivered",
        None,
        {},
    ]

    assert post(strange).json() == {"applied": 0, "repeated": 0, "unknown": len(strange)}

    assert state(id) == (1, State.ACCEPTED)
    assert ReceiptDay.objects.get().unknown == len(strange)


def test_a_receipt_may_come_before_it_is_noted_who_took_the_message(sms, providers):
    def tell_at_once(told):
        class Hasty(Provider):
            def send(self, messages):
                for status in told:
                    post([receipt(message.reference, status) for message in messages])
                return super().send(messages)

        return Failover([{"BACKEND": f"{__name__}.itself", "OPTIONS": {"provider": p}} for p in (Hasty(), providers[1])])

    [id] = sent_to(1, tell_at_once(["sent", "delivered"]))

    assert state(id) == (1, State.DELIVERED)
    assert Carriage.objects.values_list("provider", "accepted", "delivered").get() == ("sms.1", 1, 1)


def test_a_code_that_was_typed_before_the_receipt_came_counts_as_delivered_all_the_same(sms, providers):
    [id] = sent_to(1, sms)
    code = providers[0].texts[0].text[:6]
    assert phone.type_codes([phone.Typed(id, code)]) == [phone.Outcome.VERIFIED]

    post([receipt(reference(id), "delivered")])

    assert Carriage.objects.get().delivered == 1
    assert Registrant.objects.get(pk=id).stage == Stage.PHONE_VERIFIED


# Who may call


def forgeries(body):
    now = int(time.time())
    right = sign(SECRET, "msg_1", now, body)
    return {
        "nothing": {"webhook_signature": ""},
        "nonsense": {"webhook_signature": "v1,c2F5IHBsZWFzZQ== \x00 v1, ,"},
        "another secret": {"secret": b"another secret of thirty-two byt"},
        "another body": {"webhook_signature": sign(SECRET, "msg_1", now, body + b" ")},
        "another id": {"webhook_signature": right, "webhook_id": "msg_2"},
        "no id": {"webhook_signature": sign(SECRET, "", now, body), "webhook_id": ""},
        "another version": {"webhook_signature": right.replace("v1,", "v2,")},
        "no version": {"webhook_signature": right.removeprefix("v1,")},
        "too old": {"age": 301},
        "of tomorrow": {"age": -310},
        "no time": {"webhook_timestamp": "now"},
        "another time": {"webhook_timestamp": str(now - 1)},
        "negative time": {"webhook_timestamp": "-1"},
        "endless time": {"webhook_timestamp": "9" * 5000},
    }


@pytest.mark.parametrize("forgery", forgeries(b""))
def test_a_forged_call_is_refused_and_changes_nothing(sms, forgery):
    [id] = sent_to(1, sms)
    body = json.dumps({"receipts": [receipt(reference(id), "delivered")]}).encode()

    assert post(None, body=body, **forgeries(body)[forgery]).status_code == 401

    assert state(id) == (1, State.ACCEPTED)
    assert not ReceiptDay.objects.exists()


@pytest.mark.parametrize("at", range(0, 120, 7))
def test_a_flipped_bit_is_a_forgery(at):
    body = json.dumps({"receipts": [receipt("1." + "0" * 32, "delivered")]}).encode()
    flipped = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :] if at < len(body) else body + b"\n"
    signature = sign(SECRET, "msg_1", int(time.time()), body)

    assert post(None, body=flipped, webhook_signature=signature).status_code == 401


def test_either_of_two_secrets_signs_and_one_right_signature_of_several_is_enough():
    body = b'{"receipts": []}'
    right = sign(OLD_SECRET, "msg_1", int(time.time()), body)

    assert post([], secret=OLD_SECRET).status_code == 200
    assert post(None, body=body, webhook_signature=f"v1a,AAAA v1,AAAA {right}").status_code == 200


def test_without_a_secret_there_is_no_such_page(settings):
    settings.SMS_RECEIPT_SECRETS = []

    assert post([]).status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b"{}", 400),
        (b'{"receipts": {}}', 400),
        (b'{"receipts": 1}', 400),
        (b"\xff\xfe", 400),
        (b"[" * 100_000, 400),
        (json.dumps({"receipts": [{}] * 501}).encode(), 400),
        (json.dumps({"receipts": [{}] * 500}).encode(), 200),
        (b" " * 300_000, 413),
    ],
    ids=range(10),
)
def test_a_call_in_another_form_or_size_is_refused(body, status):
    assert post(None, body=body).status_code == status


def test_only_a_post_is_answered():
    assert Client().get(URL).status_code == 405


# What comes of them


def test_a_bad_delivered_ratio_turns_the_next_codes_to_the_other_provider(sms):
    ids = sent_to(60, sms)
    post([receipt(reference(id), "delivered") for id in ids[:50]])
    later(seconds=131)

    [id] = make_registrants(1, stage=Stage.IDENTITY_VERIFIED, first=1000)
    phone.send_code(id)
    send(sms)

    assert state(id)[0] == 2, "50 of 60 have arrived: less than 85 %"


@pytest.mark.parametrize(
    ("status", "seconds", "provider"),
    [("failed", 0, 2), ("sent", 130, 2), (None, 130, 2), ("delivered", 130, 1)],
)
def test_who_did_not_get_it_gets_the_next_one_by_another_provider(sms, status, seconds, provider):
    [id] = sent_to(1, sms)
    if status:
        post([receipt(reference(id), status)])
    later(seconds)
    may_ask_again(id)

    assert phone.send_code(id)
    send(sms)

    assert state(id) == (provider, State.ACCEPTED)
    assert Registrant.objects.get(pk=id).drop_off == DropOff.NONE


def test_a_third_one_goes_by_another_provider_again(sms):
    [id] = sent_to(1, sms)
    went_by = [state(id)[0]]
    for _ in range(3):
        may_ask_again(id)
        phone.send_code(id)
        send(sms)
        went_by.append(state(id)[0])

    assert went_by == [1, 2, 1, 2]


@pytest.mark.parametrize(
    ("status", "seconds", "told", "on_page", "on_status"),
    [
        (None, 0, News.ON_ITS_WAY, "SMS sedang dikirim.", "sedang dikirim."),
        ("sent", 100, News.ON_ITS_WAY, "SMS sedang dikirim.", "sedang dikirim."),
        ("delivered", 200, News.DELIVERED, "SMS sudah sampai", "sudah sampai. Tulis"),
        ("failed", 0, News.FAILED, "SMS tidak sampai.", "tidak sampai. Minta"),
        ("sent", 130, News.OVERDUE, "belum mendapat kabar", "belum mendapat kabar"),
        (None, 130, News.OVERDUE, "belum mendapat kabar", "belum mendapat kabar"),
        (None, 301, News.NONE, "Minta kode baru di bawah", "Kami sudah mengirim kode"),
    ],
)
def test_the_pages_tell_what_is_known_of_the_sms_and_no_more(sms, status, seconds, told, on_page, on_status):
    [id] = sent_to(1, sms)
    if status:
        post([receipt(reference(id), status)])
    later(seconds)
    may_ask_again(id)
    client = Client()
    session = client.session
    session[SESSION_KEY] = id
    session.save()

    page, status_page = client.get("/status/kode/"), client.get("/status/")

    assert delivery.news(id) is told
    assert page.context["news"] == told.value
    assert on_page in page.content.decode()
    assert on_status in status_page.content.decode()
    assert b"/status/kode/baru/" in page.content, "a new one can be asked for"


def test_a_code_that_waits_for_its_sending_is_not_said_to_be_sent():
    registrant = make_registrant(stage=Stage.IDENTITY_VERIFIED)
    phone.send_code(registrant.pk)

    assert delivery.news(registrant.pk) is News.WAITING


# With a gateway that has troubles of its own


@pytest.mark.django_db(transaction=True)
def test_what_is_known_at_last_is_what_the_gateway_did_whatever_befell_its_receipts(live_server):
    befalls = ("failed", "dropped", "doubled", "late", "out_of_order", "forged", "unknown", "replayed")
    shares = {f"{name}_percent": 20.0 for name in befalls}
    trouble = ReceiptFaults(sent_after_s=0.05, delivered_after_s=0.2, late_s=0.5, **shares)
    told_to = {"receipts_to": live_server.url + URL, "receipt_secret": base64.b64encode(SECRET).decode()}
    with serving(receipt_faults=trouble, **told_to) as server:
        ids = sent_to(200, HttpSms(server.url))
        wait_until(lambda: server.receipts.outstanding() == 0, seconds=60, what="the receipts")

        told = {entry["reference"]: entry["receipts"]["due"] for entry in server.ledger.references("sms")}

    rank = {"sent": State.SENT, "failed": State.FAILED, "delivered": State.DELIVERED}
    honest = {id: max([State.ACCEPTED, *(rank[word] for word in told[reference(id)])]) for id in ids}
    assert {id: state(id) for id in ids} == {id: (1, known) for id, known in honest.items()}
    assert Counter(honest.values()).keys() == {State.ACCEPTED, State.SENT, State.FAILED, State.DELIVERED}
    total = Carriage.objects.aggregate(accepted=Sum("accepted"), delivered=Sum("delivered"))
    assert total == {"accepted": 200, "delivered": list(honest.values()).count(State.DELIVERED)}
    assert ReceiptDay.objects.get().unknown > 0


# Doubt


def asked(provider):
    return [message.reference for message in provider.texts]


def test_a_time_out_is_asked_again_of_the_same_provider_under_the_same_reference(sms, providers):
    one, other = providers
    one.script = [Unavailable("ReadTimeout")]
    [id] = sent_to(1, sms)
    assert state(id) == (1, State.IN_DOUBT)

    send(sms)

    assert asked(one) == [reference(id)] * 2
    assert asked(other) == []
    assert state(id) == (1, State.ACCEPTED)


def test_after_a_second_time_out_the_same_code_goes_by_another_provider(sms, providers):
    one, other = providers
    one.script = [Unavailable("ReadTimeout")] * 2
    [id] = sent_to(1, sms)

    send(sms)
    send(sms)

    assert asked(one) + asked(other) == [reference(id)] * 3
    assert {message.text for provider in providers for message in provider.texts} == {one.texts[0].text}
    assert state(id) == (2, State.ACCEPTED)


def test_a_receipt_resolves_a_doubt_and_nobody_is_asked_again(sms, providers):
    one, other = providers
    one.script = [Unavailable("ReadTimeout")]
    [id] = sent_to(1, sms)

    post([receipt(reference(id), "sent")])
    send(sms)

    assert (asked(one), asked(other)) == ([reference(id)], [])
    assert not Work.objects.filter(queue="phone").exists()
    assert state(id)[1] == State.SENT


def test_without_a_fault_nobody_gets_two_messages(sms, providers):
    ids = sent_to(40, sms)
    for _ in range(3):
        send(sms)

    assert sorted(asked(providers[0])) == sorted(map(reference, ids))
    assert asked(providers[1]) == []


def test_a_refused_connection_sends_the_code_by_the_other_provider_at_once(sms, providers):
    one, other = providers
    one.script = [Unavailable("ConnectionError", untouched=True)]

    [id] = sent_to(1, sms)

    assert asked(other) == [reference(id)]
    assert state(id) == (2, State.ACCEPTED)


def test_a_dead_number_is_dead_whoever_says_so(sms, providers):
    providers[0].script = [Delivery.NUMBER_DEAD]

    [id] = sent_to(1, sms)

    assert Registrant.objects.get(pk=id).drop_off == DropOff.NUMBER_DEAD
    assert asked(providers[1]) == []


def test_one_provider_without_receipts_costs_no_statement_more(settings, mailbox, django_assert_num_queries):
    settings.SMS_RECEIPT_SECRETS = []
    [id] = make_registrants(1, stage=Stage.IDENTITY_VERIFIED)
    message = Sms(f"{id}.{codes.issue([id])[id].challenge}", "+6281234567890", "123456")

    with django_assert_num_queries(0):
        delivery.note([message], *delivery.send(mailbox.sms, [message]))

    assert delivery.news(id) is News.NONE


def test_one_provider_with_receipts_is_followed_too(mailbox):
    [id] = sent_to(1, mailbox.sms)

    post([receipt(reference(id), "delivered")])

    assert state(id) == (1, State.DELIVERED)
    assert delivery.news(id) is News.DELIVERED


def test_the_words_of_the_wire_and_no_others():
    told = [receipt("1." + "a" * 32, word) for word in ("sent", "failed", "delivered", "accepted", "none")]

    read = receipts.read(json.dumps({"receipts": told}).encode())

    assert [known.state if known else None for known in read] == [State.SENT, State.FAILED, State.DELIVERED, None, None]
