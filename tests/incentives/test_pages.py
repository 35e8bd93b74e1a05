"""The recipients' pages of the money: the account and its gates, each incentive and what blocks it, the surveys."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from incentives import checking, gating, linking, obligations
from incentives.models import Account, AccountChange, Obligation
from incentives.payout import MockPayer, Outcome
from registrations.models import Registrant
from registrations.stages import Stage
from tests.incentives.cast import Bank, make_batch, send
from tests.people import make_registrant
from tests.recipients import make_completed_now, make_recipients_now, signed_in
from tests.trainings.test_pages import page, text_of

pytestmark = pytest.mark.django_db

PAYERS = ("bni", "bri", "mandiri", "ovo", "linkaja", "gopay", "dana")


@pytest.fixture
def me():
    [id] = make_recipients_now()
    return id


def link(id, payer="bni", number="1000000001"):
    [outcome] = linking.link([linking.Link(id, payer, number, timezone.now())])
    assert outcome is linking.Outcome.LINKED


def work():
    """What workers do: open incentives, look at gates, ask about accounts."""
    obligations.open_batch(size=100)
    gating.refresh_batch(size=100)
    for payer in PAYERS:
        checking.check_batch(payer, payer=MockPayer(), size=100)


def pay():
    make_batch(at=timezone.now())
    while send(at=timezone.now()):
        pass


# The account


@pytest.mark.parametrize(
    ("payer", "number", "kept"),
    [
        ("bni", "1000 0000-01", "1000000001"),
        ("bri", "１23456789012345", "123456789012345"),
        ("ovo", "+62 812-3400-1000", "081234001000"),
        ("gopay", "62 812 3400 1000", "081234001000"),
        ("dana", "0812.3400.1000", "081234001000"),
    ],
)
def test_an_account_is_linked_however_its_number_is_written(me, payer, number, kept):
    answer = signed_in(me).post("/rekening/tautkan/", {"payer": payer, "number": number})

    assert answer.url == "/rekening/"
    assert Account.objects.get().payer == payer
    assert f"•••{kept[-4:]}" in page(signed_in(me), "/rekening/")


@pytest.mark.parametrize(
    ("payer", "number", "told"),
    [
        ("", "", "Choose a bank or an e-wallet."),
        ("bni", "", "Type the number of your account."),
        ("barings", "1000000001", "Choose a bank or an e-wallet."),
        ("bni", "10OO000001", "An account number has digits only."),
        ("bni", "123456789", "A number of BNI has 10 digits; this one has 9."),
        ("ovo", "1234567890", "it begins with 08"),
        ("ovo", "0812", "A number of OVO has 10 to 14 digits; this one has 4."),
        ("bri", "1.23457E+14", "This number was shortened. Type all its digits."),
        ("mandiri", "1" * 5000, "A number of Mandiri has 13 digits; this one has 5000."),
        ("mandiri", "1\0", "Null characters"),
    ],
)
def test_a_bad_number_is_told_in_plain_words_and_what_was_typed_stays(me, payer, number, told):
    answer = signed_in(me).post("/rekening/tautkan/", {"payer": payer, "number": number})

    assert answer.status_code == 422
    text = text_of(answer)
    assert text.count(told) == 2, "on top, and at the field"
    if number.isalnum():
        assert f'value="{number}"' in answer.content.decode()
    assert not Account.objects.exists()


def test_the_account_of_another_registrant_is_not_linked(me):
    [other] = make_recipients_now(first=2000)
    link(other)

    answer = signed_in(me).post("/rekening/tautkan/", {"payer": "bni", "number": "1000000001"})

    assert answer.status_code == 422
    assert "linked to another registrant" in text_of(answer)


def test_a_second_click_links_once_and_another_number_asks_for_proof(me):
    client = signed_in(me)
    for _ in range(2):
        assert client.post("/rekening/tautkan/", {"payer": "bni", "number": "1000000001"}).url == "/rekening/"

    assert client.post("/rekening/tautkan/", {"payer": "bni", "number": "1000000002"}).url == "/rekening/ganti/"
    assert client.get("/rekening/tautkan/").url == "/rekening/"
    assert Account.objects.count() == 1


def test_an_account_is_being_checked_then_ready(me):
    link(me)
    client = signed_in(me)

    before = page(client, "/rekening/")
    work()
    after = page(client, "/rekening/")

    assert "Being checked" in before
    assert "Ready for payment" in after


@pytest.mark.parametrize(
    ("code", "told", "button"),
    [
        (11, "belongs to another NIK", "Change my account"),
        (12, "closed, inactive or unknown", "check again"),
        (13, "has not been upgraded", "check again"),
        (14, "by another phone number", "check again"),
        (15, "cannot hold Rp600,000 more", "check again"),
    ],
)
def test_the_one_thing_that_blocks_an_account_says_who_must_act_and_how(me, code, told, button):
    link(me, number=f"99{code}000001")
    work()

    text = page(signed_in(me), "/rekening/")

    assert told in text
    assert "Who must act You" in text
    assert button in text


def test_it_is_asked_about_again_but_not_at_once(me):
    link(me, number="9913000001")
    work()
    client = signed_in(me)

    soon = client.post("/rekening/periksa/")
    Account.objects.update(checked_at=timezone.now() - timedelta(minutes=11))
    later = client.post("/rekening/periksa/")

    assert soon.status_code == 409
    assert "We asked BNI a few minutes ago" in text_of(soon)
    assert later.url == "/rekening/"
    assert "Being checked" in page(client, "/rekening/")


def test_a_change_that_somebody_else_has_asked_for_can_be_stopped(me):
    now = timezone.now()
    AccountChange.objects.create(registrant_id=me, asked_at=now, takes_effect_at=now + timedelta(days=7), sealed=b"")
    client = signed_in(me)

    before = page(client, "/rekening/tautkan/")
    client.post("/rekening/perubahan/batal/")

    assert "A change has been asked for" in before
    assert "A change has been asked for" not in page(client, "/rekening/tautkan/")
    assert AccountChange.objects.get().cancelled_at is not None


def test_who_is_no_recipient_is_led_to_the_status_page(client):
    verified = make_registrant(stage=Stage.PHONE_VERIFIED, number=77)

    for path in ("/rekening/", "/rekening/tautkan/", "/rekening/ganti/", "/rekening/nomor/", "/insentif/"):
        assert client.get(path).url == "/masuk/"
        answer = signed_in(verified.pk).get(path, follow=True)
        assert answer.redirect_chain[-1][0] == "/status/"


# The incentives


def test_before_a_training_is_completed_the_page_says_what_there_is_to_come(me):
    text = page(signed_in(me), "/insentif/")

    assert "4 months, Rp600,000 each Rp2,400,000" in text
    assert "3 surveys, Rp50,000 each Rp150,000" in text
    assert "Complete your first training" in text


def test_between_the_completion_and_the_worker_nothing_is_claimed():
    me = make_completed_now()

    assert "they stand here in a minute" in page(signed_in(me), "/insentif/")


@pytest.mark.parametrize(
    ("lacks", "told", "who", "button"),
    [
        ({"certified": False}, "Nusa has not sent your certificate yet", "Nusa", None),
        ({"reviewed": False}, "Without a rating and a review, we may not pay", "You", "Rate my training"),
        ({}, "You have linked no account", "You", "Link an account"),
    ],
)
def test_the_one_thing_that_blocks_an_incentive_says_who_must_act(lacks, told, who, button):
    me = make_completed_now(**lacks)
    work()

    text = page(signed_in(me), "/insentif/")

    assert told in text
    assert f"Who must act {who}" in text
    assert text.count("Blocked") == 4
    assert button is None or button in text


def test_each_incentive_has_its_day_its_amount_and_where_it_is():
    me = make_completed_now(days_ago=3)
    link(me)
    work()
    client = signed_in(me)

    before = page(client, "/insentif/")
    pay()
    after = page(client, "/insentif/")

    assert re.search(r"Month 1 Due since \d+ \w+ \d+ Paid with the next payment.*?Rp600,000 Month 2 Due on", before)
    assert re.search(r"Month 1 Paid \d+ \w+ \d+ \S+ WIB BNI •••0001 Rp600,000 Month 2 Due on", after)
    assert "Received so far Rp600,000" in after
    assert Registrant.objects.get(pk=me).stage == Stage.INCENTIVE_RECEIVED


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (Outcome.UNKNOWN, "it is paid once, and not twice"),
        (Outcome.PENDING, "On its way"),
        (Outcome.FAILED, "Could not be paid"),
        (Outcome.FAILED_INACTIVE, "closed, inactive or unknown"),
        (Outcome.REVERSED_INACTIVE, "Came back to us"),
    ],
)
def test_what_went_another_way_is_told_without_fright(said, told):
    me = make_completed_now(days_ago=3)
    link(me)
    work()
    bank = Bank()
    bank.answer_next = [said]
    make_batch(at=timezone.now())

    send(bank, at=timezone.now())

    assert told in page(signed_in(me), "/insentif/")


# Surveys

ANSWERS = {"work": "2", "helped": "1", "spent": "2"}


@pytest.fixture
def paid():
    """Somebody whose first incentive was paid 31 days ago, so that the first survey is open."""
    me = make_completed_now(days_ago=3)
    link(me)
    work()
    pay()
    Registrant.objects.filter(pk=me).update(incentive_received_at=timezone.now() - timedelta(days=31))
    return me


def test_an_open_survey_is_answered_once_and_brings_its_incentive(paid):
    client = signed_in(paid)

    before = page(client, "/insentif/")
    asked = page(client, "/insentif/survei/1/")
    missing = client.post("/insentif/survei/1/", {"work": "1"})
    for _ in range(2):
        assert client.post("/insentif/survei/1/", ANSWERS).url == "/insentif/"
    after = page(client, "/insentif/")

    assert "Open now" in before
    assert "Rp50,000 are then paid into your account within 14 days" in asked
    assert missing.status_code == 422
    assert "Choose one answer." in text_of(missing)
    assert Obligation.objects.filter(pk=paid * 16 + 5, amount=50_000).count() == 1
    assert "Answered; paid by" in after


def test_a_survey_that_is_not_open_is_not_answered(paid, me):
    for survey in (2, 3):
        assert signed_in(paid).post(f"/insentif/survei/{survey}/", ANSWERS).url == "/insentif/"
    assert signed_in(paid).post("/insentif/survei/4/", ANSWERS).status_code == 404
    assert signed_in(me).post("/insentif/survei/1/", ANSWERS).status_code == 404

    assert not Obligation.objects.filter(amount=50_000).exists()
