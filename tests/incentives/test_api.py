"""The payers' side of the API: their own orders, results and checks; nothing half done, and nobody else's."""

import json
import time

import pytest

from foundation import webhooks
from incentives import batching, ledger
from incentives.gates import Gate
from incentives.models import Journal, State
from incentives.payout import Outcome
from partners import inbox, keys
from partners.models import Event, Message, Secret
from partners.scopes import Scope
from tests.incentives.cast import (
    LATER,
    Bank,
    account,
    check,
    clerk,
    link,
    magic,
    make_batch,
    make_owed,
    make_payable,
    owed,
    pay,
    payout,
    post_signed,
    send,
)
from tests.partners.cast import api, make_partner

pytestmark = pytest.mark.django_db

BATCHES, RESULTS, CHECKS = "/api/v1/payout-batches/", "/api/v1/payout-results/", "/api/v1/account-checks/"
WEBHOOKS = "/api/v1/webhooks/"


@pytest.fixture
def bni():
    return make_partner("bni", platform=False, payer=True)


@pytest.fixture
def bri():
    return make_partner("bri", platform=False, payer=True)


def test_a_payer_reads_its_approved_batches_and_their_payouts_page_by_page(bni, bri):
    ids = make_payable(3)
    batch = make_batch()
    theirs, others = api(bni, Scope.PAYOUTS_READ), api(bri, Scope.PAYOUTS_READ)

    [listed] = theirs.get(BATCHES).json()["items"]
    first = theirs.get(f"{BATCHES}{batch.pk}/payouts/?limit=2").json()
    second = theirs.get(first["next"]).json()

    assert (listed["id"], listed["payouts"], listed["rupiah"]) == (batch.pk, 3, 1_800_000)
    references = [item["reference"] for item in first["items"] + second["items"]]
    assert references == [payout(id).reference for id in ids]
    assert second["next"] is None
    assert first["items"][0]["state"] == "approved"
    assert "account" not in json.dumps(first), "what is needed to pay is in the order itself"
    assert others.get(BATCHES).json()["items"] == []
    assert others.get(f"{BATCHES}{batch.pk}/payouts/").status_code == 404


def test_a_batch_that_is_not_approved_is_nobodys_business(bni):
    [id] = make_payable()
    batch = batching.propose("bni", by=clerk("maker"), at=LATER)
    theirs = api(bni, Scope.PAYOUTS_READ)

    assert theirs.get(BATCHES).json()["items"] == []
    assert theirs.get(f"{BATCHES}{batch.pk}/payouts/").status_code == 404
    assert theirs.get(f"/api/v1/payouts/{payout(id).reference}/").status_code == 404


def test_payouts_are_filtered_by_state_and_found_by_reference(bni, bri):
    plain, failing = make_payable(2, numbers=["1234567890", magic(23)])
    batch = pay()
    theirs = api(bni, Scope.PAYOUTS_READ)

    failed = theirs.get(f"{BATCHES}{batch.pk}/payouts/?state=failed").json()["items"]
    one = theirs.get(f"/api/v1/payouts/{payout(plain).reference}/")

    assert [(item["reference"], item["reason"]) for item in failed] == [(payout(failing).reference, "inactive")]
    assert (one.json()["state"], one.json()["reason"], one.json()["rupiah"]) == ("paid", None, 600_000)
    assert api(bri, Scope.PAYOUTS_READ).get(f"/api/v1/payouts/{payout(plain).reference}/").status_code == 404
    assert theirs.get("/api/v1/payouts/nonsense/").status_code == 404
    assert theirs.get(f"{BATCHES}{batch.pk}/payouts/?state=proposed").status_code == 400


def test_results_are_taken_row_by_row(bni):
    first, second = make_payable(2)
    pay()
    theirs = api(bni, Scope.PAYOUTS_WRITE)
    rows = [
        {"reference": payout(first).reference, "status": "reversed_inactive"},
        {"reference": payout(first).reference, "status": "reversed_inactive"},
        {"reference": payout(second).reference, "status": "failed"},
        {"reference": "7-1", "status": "paid"},
        {"reference": payout(second).reference, "status": "probably"},
        {"reference": payout(second).reference, "status": "paid", "note": "x"},
        {"reference": 7, "status": "paid"},
    ]

    answer = theirs.post(RESULTS, {"items": rows})

    results = answer.json()["results"]
    assert answer.status_code == 200
    assert [row.get("result", {}).get("known") for row in results[:2]] == [False, True]
    assert [row["problem"]["status"] for row in results[2:]] == [409, 404, 400, 400, 400]
    assert (owed(first).state, owed(first).gate) == (State.REVERSED, Gate.ACCOUNT_INACTIVE)
    assert owed(second).state == State.PAID
    assert ledger.recount() == []


def test_the_same_key_gives_the_same_answer_and_does_nothing_twice(bni):
    [id] = make_payable()
    pay()
    theirs = api(bni, Scope.PAYOUTS_WRITE)
    body = {"items": [{"reference": payout(id).reference, "status": "reversed"}]}

    first = theirs.write(RESULTS, body, key="k1")
    again = theirs.write(RESULTS, body, key="k1")
    other = theirs.write(RESULTS, {"items": [{"reference": "7-1", "status": "paid"}]}, key="k1")

    assert (first.json(), first.status_code) == (again.json(), again.status_code)
    assert other.status_code == 422
    assert theirs.post(RESULTS, body).json()["results"][0]["result"]["known"]


def test_a_payer_tells_how_its_accounts_are(bni, bri):
    [id] = make_owed()
    link([id], numbers=[magic(13)])
    check()
    row = {"reference": str(account(id).pk), "verdict": "fit"}

    by_another = api(bri, Scope.ACCOUNTS_CHECK).post(CHECKS, {"items": [row]}).json()["results"]
    noted = api(bni, Scope.ACCOUNTS_CHECK).post(CHECKS, {"items": [row, {**row, "reference": "x"}]}).json()["results"]

    assert by_another[0]["problem"]["status"] == 404
    assert [each["outcome"] for each in noted] == ["done", "refused"]
    assert account(id).gate == Gate.NONE


def told(partner, kind, data, webhook_id="msg_1"):
    """A signed call of the partner's, and then applied by a worker."""
    post_signed(kind, data, webhook_id=webhook_id, partner=partner)
    while inbox.apply_batch(size=100):
        pass


def test_results_come_by_webhook_too_once_and_later(bni):
    [id] = make_payable()
    make_batch()
    bank = Bank()
    bank.answer_next = [Outcome.UNKNOWN]
    send(bank)
    row = {"reference": payout(id).reference, "status": "paid"}

    for n in range(2):
        told("bni", "payout.settled", {"results": [row, 7, {"reference": 1}, {**row, "status": []}, row]}, f"msg_{n}")

    assert owed(id).state == State.PAID


def test_checks_come_by_webhook_too(bni):
    [id] = make_owed()
    link([id], numbers=[magic(12)])
    check()

    told("bni", "account.checked", {"checks": [{"reference": str(account(id).pk), "verdict": "fit"}]})
    told("bni", "account.checked", {"checks": "nonsense"}, "msg_2")

    assert account(id).gate == Gate.NONE


def test_a_signed_message_that_comes_twice_is_known_and_applied_once(bni, client):
    [id] = make_payable()
    pay()
    secret = webhooks.secret_bytes(keys.rotate("bni", Secret.Use.IN))
    data = {"results": [{"reference": payout(id).reference, "status": "reversed_inactive"}]}
    body, now = json.dumps({"type": "payout.settled", "data": data}).encode(), int(time.time())
    said = {
        "HTTP_WEBHOOK_ID": "msg_1",
        "HTTP_WEBHOOK_TIMESTAMP": str(now),
        "HTTP_WEBHOOK_SIGNATURE": webhooks.sign(secret, "msg_1", now, body),
    }

    answers = []
    for _ in range(2):
        answers.append(client.post("/api/v1/inbox/bni/", body, content_type="application/json", **said))
        while inbox.apply_batch(size=100):
            pass

    assert [(answer.status_code, answer.json()["known"]) for answer in answers] == [(200, False), (200, True)]
    assert Message.objects.get().state == Message.State.APPLIED
    assert Journal.objects.filter(from_state=State.PAID, to_state=State.REVERSED).count() == 1
    assert owed(id).state == State.REVERSED


def test_who_owns_nothing_reads_empty_lists(bni, bri):
    make_payable()
    make_batch()
    Event.objects.create(partner=bni, kind="payout.approved", sealed=b"")
    theirs, others = (api(partner, Scope.PAYOUTS_READ, Scope.WEBHOOKS_READ) for partner in (bni, bri))

    listed = [[len(who.get(path).json()["items"]) for path in (BATCHES, WEBHOOKS)] for who in (theirs, others)]

    assert listed == [[1, 1], [0, 0]]
