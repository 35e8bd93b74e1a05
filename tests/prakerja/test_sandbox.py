"""The sandbox: people are made up by the acts of always, and each situation makes the API answer what it promises."""

import os
import subprocess
import sys
from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from foundation import services
from foundation.models import Work
from incentives import checking, gating, ledger, sending
from incentives.gates import Gate
from incentives.models import Account, Batch, Obligation, Payout
from incentives.payers import PAYERS
from incentives.payout import MockPayer, Outcome, Verdict
from partners.clock import SIMULATED
from partners.models import Event
from prakerja.models import Deed
from prakerja.sandbox import people, situations
from prakerja.sandbox.situations import SITUATIONS, Part
from registrations import funnel
from registrations.models import Registrant, Wave
from registrations.stages import DropOff, Stage
from tests.conftest import ROOT
from tests.incentives import cast as incentives
from tests.partners.cast import Api, api, make_partner, token_of
from tests.trainings.cast import in_threads
from trainings import accounts
from trainings.models import Training
from verification import links, synthetic
from waves import decrees, publishing, revocation
from waves.models import Decree, Recipient

URL = "/api/v1/sandbox/people/"

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("_unbounded")]


@pytest.fixture
def _unbounded(settings):
    settings.PARTNER_RATE = 1_000_000


@pytest.fixture
def platform():
    return make_partner("tokopedia", platform=True)


@pytest.fixture
def provider():
    return make_partner("nusa", platform=False, provider=True)


@pytest.fixture
def payer():
    return make_partner("bni", platform=False, payer=True)


def ask(partner, situation, count=1, **extra):
    answer = api(partner).post(URL, {"situation": situation, "count": count}, **extra)
    assert answer.status_code == 201, answer.json()
    return answer.json()


def nothing_differs():
    funnel.fold()
    return [*funnel.recount().differences, *accounts.recount(), *ledger.recount()] == []


def row_of(answer):
    """What the one row of a bulk call came to: the problem's type, or nothing."""
    assert answer.status_code == 200, answer.json()
    [result] = answer.json()["results"]
    assert result["outcome"] == ("refused" if "problem" in result else "done")
    return result["problem"]["type"] if "problem" in result else None


def sell(partner, made, **extra):
    item = {"card": made["card"], "training": made["training"], "reference": f"INV/{made['card']}"}
    return api(partner).post("/api/v1/purchases/", {"items": [item]}, **extra)


# What is promised is what comes


@pytest.mark.parametrize("name", [name for name, found in SITUATIONS.items() if found.part is Part.PLATFORM])
def test_a_card_is_answered_as_its_situation_says(platform, name):
    told = ask(platform, name, 3)

    assert len(told["people"]) == 3
    assert [row_of(sell(platform, made)) for made in told["people"]] == [told["problem"]] * 3
    assert nothing_differs()


#: What is sent, by the address that a situation names.
ROWS = {
    "POST /api/v1/attendances/": lambda made: {"redeem_code": made["redeem_code"]},
    "POST /api/v1/completions/": lambda made: {
        "redeem_code": made["redeem_code"],
        "completed_at": timezone.now().isoformat(),
    },
    "POST /api/v1/certificates/": lambda made: {
        "redeem_code": made["redeem_code"],
        "number": "ANOTHER/1",
        "sha256": "0" * 64,
    },
}


@pytest.mark.parametrize("kind", ["platform", "provider"])
@pytest.mark.parametrize("name", [name for name, found in SITUATIONS.items() if found.part is Part.TRAININGS])
def test_a_purchase_is_answered_as_its_situation_says(request, kind, name):
    partner = request.getfixturevalue(kind)
    told = ask(partner, name, 2)
    caller, made = api(partner), told["people"][0]

    seen = caller.get("/api/v1/purchases/", {"redeem_code": made["redeem_code"]}).json()["items"]
    method, _, path = told["call"].partition(" ")
    if method == "GET":
        assert {review["purchase"] for review in caller.get(path).json()["items"]} == {
            each["purchase"] for each in told["people"]
        }
    else:
        assert row_of(caller.post(path, {"items": [ROWS[told["call"]](made)]})) == told["problem"]

    if kind == "platform" or name not in ("issued", "cancelled"):  # whose code was never used, a provider is not shown
        assert [(row["state"], row["reference"]) for row in seen] == [(told["state"], made["reference"])]
    assert (made["card"] is None) == (kind == "provider")
    assert nothing_differs()


@pytest.mark.parametrize("code", ["bni", "bri", "mandiri", "ovo", "gopay"])
@pytest.mark.parametrize("name", [name for name in SITUATIONS if name.startswith("account_")])
def test_an_account_is_as_its_situation_says_and_the_payer_may_say_otherwise(name, code):
    payer = make_partner(code, platform=False, payer=True)
    told = ask(payer, name, 2)
    ids = [int(made["account"]) for made in told["people"]]

    gates = {(account.gate, account.checked_at is None) for account in Account.objects.filter(pk__in=ids)}
    verdict = told["state"] and checking.Verdict(told["state"])
    said = {"items": [{"reference": made["account"], "verdict": "inactive"} for made in told["people"]]}
    answer = api(payer).post(told["call"].removeprefix("POST "), said)

    assert gates == {(verdict.gate if verdict else 0, verdict is None)}
    assert [result["outcome"] for result in answer.json()["results"]] == ["done", "done"]
    assert set(Registrant.objects.filter(stage=Stage.TRAINING_COMPLETED).values_list("drop_off", flat=True)) == {
        DropOff.ACCOUNT_INACTIVE
    }
    assert nothing_differs()


def test_what_the_sandbox_says_of_an_account_the_mock_would_have_said(payer):
    for name in ("account_fit", "account_of_another", "account_full", "account_unchecked"):
        ask(payer, name)

    before = _accounts()
    checking.reopen([("bni", id) for id, _, is_checked in before if is_checked])
    checking.check_batch("bni", payer=MockPayer(), size=100)

    assert _accounts() == before
    assert [is_checked for *_, is_checked in before] == [True, True, True, False]


def _accounts():
    return [(account.pk, account.gate, account.checked_at is not None) for account in Account.objects.order_by("pk")]


@pytest.mark.parametrize("code", ["bni", "ovo"])
@pytest.mark.parametrize("name", [name for name in SITUATIONS if name.startswith("payout_")])
def test_a_payout_is_as_its_situation_says(name, code):
    payer = make_partner(code, platform=False, payer=True)
    told = ask(payer, name, 2)

    found = [api(payer).get(f"/api/v1/payouts/{made['payout']}/").json() for made in told["people"]]
    [batch] = api(payer).get("/api/v1/payout-batches/").json()["items"]

    assert [(row["state"], row["rupiah"]) for row in found] == [(told["state"], 600_000)] * 2
    assert {row["reason"] or "" for row in found} == {name.partition("payout_")[2].partition("_")[2]} or "then" in name
    assert (batch["id"], batch["payouts"]) == (told["people"][0]["batch"], 2)
    assert nothing_differs()


def test_every_verdict_on_an_account_and_every_end_of_a_payout_can_be_had(payer):
    S, verdicts, ends = Payout.State, set(), set()
    for name in [name for name, found in SITUATIONS.items() if found.part is Part.PAYER]:
        [made] = ask(payer, name)["people"]
        if made["payout"]:
            payout = Payout.objects.get(account_id=made["account"])
            ends.add((payout.state, payout.reason))
        else:
            account = Account.objects.get(pk=made["account"])
            verdicts.add((account.checked_at is not None, account.gate))

    assert verdicts == {
        (verdict is not Verdict.UNKNOWN, Gate.NONE if verdict is Verdict.UNKNOWN else verdict.gate) for verdict in Verdict
    }
    assert {end for end in ends if end[0] in (S.PAID, S.FAILED, S.REVERSED)} == {
        (S.FAILED if outcome.is_failed else S.REVERSED if outcome.is_reversed else S.PAID, outcome.gate)
        for outcome in Outcome
        if outcome.is_final
    }


@pytest.mark.parametrize("name", ["payout_sent", "payout_unknown"])
def test_a_payout_stays_undecided_until_its_payer_reports(payer, name):
    [made] = ask(payer, name)["people"]

    for _ in range(3):  # the workers ask again
        incentives.make_due()
        sending.send_batch("bni", payer=MockPayer(), size=100)
    undecided = Payout.objects.get().state
    caller = api(payer)
    failed = caller.post("/api/v1/payout-results/", {"items": [{"reference": made["payout"], "status": "failed_full"}]})

    assert undecided == (Payout.State.SENDING if name == "payout_sent" else Payout.State.UNKNOWN)
    assert row_of(failed) is None
    told = caller.get(f"/api/v1/payouts/{made['payout']}/").json()
    assert (told["state"], told["reason"]) == ("failed", "full")
    assert nothing_differs()


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("payout_sent_then_paid", Payout.State.PAID),
        ("payout_sent_then_failed", Payout.State.FAILED),
        ("payout_unknown_then_paid", Payout.State.PAID),
    ],
)
def test_what_is_decided_later_is_found_out_by_asking(payer, name, state):
    ask(payer, name)

    incentives.make_due()
    sending.send_batch("bni", payer=MockPayer(), size=100)

    assert Payout.objects.get().state == state
    assert nothing_differs()


def test_a_payout_that_waits_is_not_sent_by_a_worker_either(payer):
    ask(payer, "payout_waiting")

    sending.send_batch("bni", payer=MockPayer(), size=100)

    assert Payout.objects.get().state == Payout.State.APPROVED
    assert Batch.objects.get().stopped == situations.HELD_BACK


# Who is made up


def test_they_are_made_up_people_who_have_come_all_the_way(platform):
    told = ask(platform, "buyer", 100)
    made = {int(one["card"]) for one in told["people"]}
    recipients = Recipient.objects.filter(card__in=made)
    standing = people.ladder.standing(list(recipients.values_list("pk", flat=True)), Stage.SELECTED)
    persons = [one.open() for one in standing.values()]

    assert len(persons) == len(made) == 100
    assert all(synthetic.known(person.nik) and person.nik.endswith("0000") for person in persons)
    assert all(person.kk == synthetic.kk_of(person.nik) for person in persons)
    assert len({person.nik for person in persons}) == len({person.phone for person in persons}) == 100
    assert nothing_differs()


def test_whom_the_simulation_or_an_inhabitant_has_is_nobody_of_the_sandbox(platform):
    ask(platform, "buyer", 50)

    persons = [one.open() for one in people.ladder.standing(_ids(), Stage.SELECTED).values()]

    assert all(1940 <= person.birth_date.year < 1960 for person in persons)
    assert all(person.phone[6] != "0" for person in persons)
    assert all(person.email.endswith("@hilang.example") for person in persons)


def _ids():
    return list(Registrant.objects.values_list("pk", flat=True))


def test_decrees_of_the_sandbox_are_as_valid_as_others_and_one_wave_is_enough(platform, payer):
    for name in ("buyer", "revoked", "balance_expired", "too_late"):
        ask(platform, name, 2)
    ask(payer, "payout_paid")

    assert Wave.objects.filter(plan__sources=people.SOURCES).count() == 1
    assert [decree.kind for decree in Decree.objects.order_by("pk")] == ["recipients", *["correction"] * 5]
    assert [fault for decree in Decree.objects.all() for fault in decrees.faults(decree)] == []


def test_the_pages_of_office_and_public_stand_with_the_sandbox_in_them(platform, payer, admin_client, settings, tmp_path):
    settings.PUBLISHED = tmp_path
    for name in ("revoked", "too_late", "balance_expired", "reviewed"):
        ask(platform, name, 2)
    [made] = ask(payer, "payout_waiting")["people"]
    ask(payer, "payout_reversed")
    publishing.write_missing()

    wave = Wave.objects.get(plan__sources=people.SOURCES).number
    office = [
        "",
        "gelombang/",
        f"gelombang/{wave}/",
        "uang/",
        "uang/rincian/",
        "uang/batch/",
        f"uang/batch/{made['batch']}/",
    ]
    public = ["", "sk/", "undian/", f"undian/{wave}/", f"undian/{wave}/1/draw.json"]
    asked = [*(f"/pmo/{path}" for path in office), *(f"/{path}" for path in public)]

    assert {url: admin_client.get(url).status_code for url in asked} == dict.fromkeys(asked, 200)


def test_when_the_seats_are_used_up_there_is_another_wave(platform):
    ask(platform, "buyer")
    Decree.objects.get(kind="recipients").draw.__class__.objects.update(quota=3)

    ask(platform, "buyer", 2)

    assert Wave.objects.filter(plan__sources=people.SOURCES).count() == 2
    assert nothing_differs()


def test_nobody_is_written_to_and_what_waits_for_workers_does_no_harm(platform, payer, mailbox):
    ask(platform, "buyer", 3)
    ask(platform, "completed", 2)
    ask(payer, "account_fit")
    before = _standing()

    while links.send_batch(email=mailbox.email, size=100):
        pass
    incentives.open_all()
    incentives.check()
    while gating.refresh_batch(size=100):
        pass

    assert mailbox.mails == []
    assert not Work.objects.exists()
    after = _standing()
    assert {reason for *_, reason in set(after) - set(before)} == {DropOff.CERTIFICATE_MISSING}
    assert nothing_differs()


def _standing():
    return sorted(Registrant.objects.values_list("pk", "stage", "drop_off"))


def test_cards_are_good_until_they_are_used_and_one_that_is_too_late_stays_so(platform):
    for name in ("buyer", "too_late"):
        ask(platform, name)
    later = timezone.now() + timedelta(days=100)

    assert revocation.warn(at=later) == 0
    assert revocation.revoke(at=later) == 0


@pytest.mark.parametrize("name", [name for name, found in SITUATIONS.items() if found.part is Part.PLATFORM])
def test_in_the_last_days_of_a_year_it_is_the_same(platform, name):
    year = timezone.now().year
    late = {SIMULATED: timezone.now().replace(year=year, month=12, day=20)}
    told = ask(platform, name, **late)

    assert row_of(sell(platform, told["people"][0], **late)) == told["problem"]
    assert nothing_differs()


def test_payouts_of_others_are_left_alone(payer):
    [other] = incentives.make_payable()
    ask(payer, "payout_paid", 3)

    assert Batch.objects.get().payouts == 3
    assert incentives.owed(other).batch_id is None


def test_the_office_keeps_a_note_of_what_was_approved_by_nobody_who_can_sign_in(payer):
    ask(payer, "payout_paid")

    assert Counter(Deed.objects.values_list("name", flat=True)) == {"batch_proposed": 1, "batch_approved": 1}
    assert not Batch.objects.get().checker.is_active


def test_a_platform_is_told_of_what_was_bought_of_it(platform):
    api(platform).post("/api/v1/webhooks/secrets/rotate/")
    api(platform).put("/api/v1/webhooks/address/", {"url": "http://127.0.0.1:9/"})

    ask(platform, "cancelled", 2)

    assert Counter(Event.objects.values_list("kind", flat=True)) == {"purchase.created": 2, "purchase.cancelled": 2}


def test_a_training_of_the_sandbox_that_the_partner_has_changed_is_put_back(platform):
    ask(platform, "issued")
    Training.objects.filter(code="SANDBOX").update(price=10_000_000, valid_until=timezone.now() - timedelta(days=1))

    told = ask(platform, "buyer")

    assert row_of(sell(platform, told["people"][0])) is None


# Asking for them


def test_each_part_is_offered_its_own_and_an_answer_for_each():
    everything = make_partner("bni", platform=True, provider=True, payer=True)
    kinds = [make_partner("tokopedia"), make_partner("nusa", platform=False, provider=True)]
    unknown = make_partner("bank-of-mars", platform=False, payer=True)

    listed = [api(partner).get(URL).json()["items"] for partner in (everything, *kinds, unknown)]

    assert [row["situation"] for row in listed[0]] == list(SITUATIONS)
    assert [len(rows) for rows in listed[1:]] == [14, 7, 0]
    assert all(row["about"] and row["call"] for row in listed[0])


def test_what_is_not_of_ones_part_is_refused(provider):
    answer = api(provider).post(URL, {"situation": "buyer"})

    assert answer.status_code == 422
    assert answer.json()["type"] == "urn:prakerja:problem:not-your-part"
    assert not Registrant.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"situation": "rich"},
        {"situation": "buyer", "count": 0},
        {"situation": "buyer", "count": 101},
        {"situation": "buyer", "count": "2"},
        {"situation": "buyer", "nik": "3175032307910000"},
    ],
)
def test_the_form_is_closed(platform, body):
    assert api(platform).post(URL, body).status_code == 400
    assert not Registrant.objects.exists()


def test_asked_again_under_the_same_key_it_is_the_same_people(platform):
    caller = api(platform)
    first, again = (caller.write(URL, {"situation": "buyer", "count": 2}, key="once") for _ in range(2))

    assert first.json() == again.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert Recipient.objects.count() == 3  # and the one among whom the wave was drawn


def test_what_is_anothers_is_not_there_for_it(platform):
    [made] = ask(platform, "redeemed")["people"]
    stranger = api(make_partner("bukalapak"))

    assert stranger.get(f"/api/v1/purchases/{made['purchase']}/").status_code == 404


def test_all_payers_are_mocks_here_as_the_numbers_want_it():
    assert all(services.get(f"payout_{payer}").mock for payer in PAYERS)


@pytest.mark.parametrize("name", ["revoked", "reviewed", "cancelled", "account_full", "payout_reversed"])
def test_ninety_take_as_many_statements_as_nine(name):
    partner = make_partner("bni", platform=True, payer=True)
    ask(partner, name)
    caller, counts = Api(token_of(partner)), []

    for count in (9, 90):
        with CaptureQueriesContext(connection) as queries:
            caller.post(URL, {"situation": name, "count": count})
        counts.append(len(queries))

    assert counts[0] == counts[1]


ASK = """
import django
django.setup()
from django.urls import Resolver404, resolve
from drf_spectacular.generators import SchemaGenerator
try:
    print(resolve("/api/v1/sandbox/people/").url_name)
except Resolver404:
    print("no such page")
print([path for path in SchemaGenerator().get_schema(request=None, public=True)["paths"] if "sandbox" in path])
"""
BOTH = "['/api/v1/sandbox/conformance/', '/api/v1/sandbox/people/']"


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"DEMO": "0"}, "no such page\n[]"),
        ({"DEMO": "0", "SANDBOX": "1"}, f"api_sandbox_people\n{BOTH}"),
        ({"PRODUCTION": "1", "SANDBOX": "1"}, "no such page\n[]"),
    ],
)
def test_where_there_is_no_sandbox_there_is_no_such_page(environment, said):
    done = subprocess.run(
        [sys.executable, "-c", ASK], cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False
    )

    assert done.stdout.strip() == said, done.stderr


def test_nothing_of_it_is_owed_twice(payer):
    ask(payer, "payout_reversed_inactive", 2)

    assert Counter(Obligation.objects.filter(batch_id__isnull=False).values_list("state", flat=True)) == {}
    assert Obligation.objects.count() == 8


@pytest.mark.django_db(transaction=True)
def test_partners_who_ask_at_the_same_moment_wait_for_each_other_and_all_are_served():
    programs = [make_partner("tokopedia"), make_partner("bni", platform=False, payer=True)]
    names = ["issued", "payout_paid"]
    tokens = [token_of(partner) for partner in programs]

    answers = in_threads(8, lambda nth: Api(tokens[nth % 2]).post(URL, {"situation": names[nth % 2], "count": 5}))

    assert [answer.status_code for answer in answers] == [201] * 8
    assert Wave.objects.filter(plan__sources=people.SOURCES).count() == 1
    assert Recipient.objects.count() == 41
    assert Counter(Payout.objects.values_list("state", flat=True)) == {Payout.State.PAID: 20}
    assert nothing_differs()
