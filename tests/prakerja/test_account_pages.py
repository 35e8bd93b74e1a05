"""Changing the account and the phone: with codes, or, without the old phone, by who one is and after a week."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from incentives import changing, linking, notices
from incentives.models import Account, AccountChange
from prakerja import new_phone
from registrations.models import PhoneOwner
from registrations.person import phone_digest
from tests.people import make_person
from tests.recipients import make_recipients_now, signed_in
from tests.trainings.test_pages import page, text_of
from verification import phone, signin
from verification.codes import void
from verification.models import OneTimeCode

pytestmark = pytest.mark.django_db

NEW, OTHER = "0812 9999 0001", "0812 9999 0002"


@pytest.fixture
def me():
    [id] = make_recipients_now()
    link(id, "1000000001")
    return id


def link(id, number):
    assert linking.link([linking.Link(id, "bni", number, timezone.now())]) == [linking.Outcome.LINKED]


@pytest.fixture
def texts(mailbox):
    """Sends what waits, and gives the newest code that a phone got."""

    def newest(to):
        phone.send_batch(sms=mailbox.sms, size=100)
        notices.send_texts(sms=mailbox.sms, size=100)
        codes = [re.search(r"\b\d{6}\b", text.text) for text in mailbox.texts if text.to == to]
        return codes[-1][0]

    return newest


def old_phone(id):
    return signin.open_person(id).phone


def signed_in_by_phone(number, texts):
    """A browser that a code to this phone has signed in."""
    client = Client()
    client.cookies["django_language"] = "en"
    client.post("/masuk/sms/", {"phone": number})
    assert client.post("/masuk/sms/kode/", {"code": texts(number)}).url == "/status/"
    return client


def later_codes(id):
    """The pause between two codes is over."""
    OneTimeCode.objects.filter(pk__in=(id, -id)).update(sent_at=[timezone.now() - timedelta(hours=2)])


def begin(client, number=NEW, has_old="1"):
    """Give the new number; what the next page's form carries of it."""
    answer = client.post("/rekening/nomor/", {"phone": number, "has_old": has_old})
    assert answer.status_code == 200, text_of(answer)
    return re.search(r'name="wanted" value="([^"]+)"', answer.content.decode())[1]


# The account


def test_another_account_takes_the_place_of_the_old_one_with_a_code_to_the_phone(me, texts):
    client = signed_in(me)
    asked = page(client, "/rekening/ganti/")
    client.post("/rekening/ganti/")

    answer = client.post("/rekening/ganti/kode/", {"payer": "bri", "number": "1" * 15, "code": texts(old_phone(me))})

    assert "we send a code to your phone" in asked
    assert answer.url == "/rekening/"
    assert Account.objects.get(ended_at=None).payer == "bri"


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ({"code": ""}, "Type the code from the SMS."),
        ({"code": "12"}, "The code has six digits."),
        ({"code": "wrong"}, "The code has six digits."),
        ({"number": "12"}, "this one has 2"),
    ],
)
def test_a_slip_beside_the_code_costs_no_try_and_changes_nothing(me, texts, typed, told):
    client = signed_in(me)
    client.post("/rekening/ganti/")
    code = texts(old_phone(me))

    answer = client.post("/rekening/ganti/kode/", {"payer": "bri", "number": "1" * 15, "code": code} | typed)

    assert answer.status_code == 422
    assert told in text_of(answer)
    assert OneTimeCode.objects.get(pk=me).tries == 0
    assert Account.objects.get().ended_at is None


def test_a_wrong_code_and_a_used_one_change_nothing(me, texts):
    client = signed_in(me)
    client.post("/rekening/ganti/")
    code = texts(old_phone(me))
    wrong = f"{(int(code) + 1) % 10**6:06}"

    first = client.post("/rekening/ganti/kode/", {"payer": "bri", "number": "1" * 15, "code": wrong})
    client.post("/rekening/ganti/kode/", {"payer": "bri", "number": "1" * 15, "code": code})
    again = client.post("/rekening/ganti/kode/", {"payer": "bri", "number": "2" * 15, "code": code})

    assert "not right, or no longer works" in text_of(first)
    assert again.status_code == 422
    assert Account.objects.filter(ended_at=None).count() == 1


def test_an_account_of_somebody_else_is_refused_and_the_old_one_stays(me, texts):
    [other] = make_recipients_now(first=2000)
    link(other, "2000000002")
    client = signed_in(me)
    client.post("/rekening/ganti/")

    answer = client.post("/rekening/ganti/kode/", {"payer": "bni", "number": "2000000002", "code": texts(old_phone(me))})

    assert "linked to another registrant" in text_of(answer)
    assert "Ask for a new code" in text_of(answer)
    assert Account.objects.get(registrant_id=me).ended_at is None


def test_a_second_code_comes_after_a_wait_that_is_told(me):
    client = signed_in(me)
    client.post("/rekening/ganti/")

    assert "You can ask for a new code in" in page(client, "/rekening/ganti/kode/")
    assert client.post("/rekening/ganti/").url == "/rekening/ganti/kode/", "the code of before still works"


# The phone


def test_with_both_phones_at_hand_the_number_changes_at_once(me, texts):
    client, old = signed_in(me), old_phone(me)
    wanted = begin(client)

    codes = {"old_code": texts(old), "code": texts("+6281299990001")}
    answer = client.post("/rekening/nomor/kode/", {"wanted": wanted, **codes})

    assert answer.url == "/rekening/"
    assert old_phone(me) == "+6281299990001"
    assert PhoneOwner.objects.filter(registrant_id=me).get().digest.hex == phone_digest("+6281299990001")
    assert "+62812******01" in page(client, "/rekening/")


@pytest.mark.parametrize("swapped", [{"old_code": "000000"}, {"code": "000000"}, {"code": ""}, {"old_code": "x"}])
def test_one_wrong_code_of_two_changes_nothing(me, texts, swapped):
    client, old = signed_in(me), old_phone(me)
    wanted = begin(client)
    codes = {"old_code": texts(old), "code": texts("+6281299990001")}

    answer = client.post("/rekening/nomor/kode/", {"wanted": wanted} | codes | swapped)

    assert answer.status_code == 422
    assert old_phone(me) == old


def test_the_code_to_one_number_proves_no_other_number(me, texts):
    client, old = signed_in(me), old_phone(me)
    not_mine = begin(client, NEW)
    later_codes(me)
    begin(client, OTHER)

    codes = {"old_code": texts(old), "code": texts("+6281299990002")}
    answer = client.post("/rekening/nomor/kode/", {"wanted": not_mine, **codes})

    assert answer.status_code == 422
    assert old_phone(me) == old


def test_what_a_form_carries_is_of_one_person_and_cannot_be_made_up(me):
    [other] = make_recipients_now(first=2000)
    theirs = begin(signed_in(other))

    for wanted in ("", "nonsense", "Ï", theirs):
        answer = signed_in(me).post("/rekening/nomor/kode/", {"wanted": wanted, "old_code": "123456", "code": "123456"})
        assert answer.url == "/rekening/nomor/"
    assert "6281299990001" not in theirs
    assert "6281299990001" not in repr(new_phone.from_form(other, theirs))


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({}, "Type your mobile phone number."),
        ({"phone": NEW}, "Choose yes or no."),
        ({"phone": "021 345 6789", "has_old": "1"}, "This is a landline"),
        ({"phone": "MINE", "has_old": "1"}, "digits only"),
    ],
)
def test_a_bad_new_number_is_told_in_plain_words(me, form, told):
    answer = signed_in(me).post("/rekening/nomor/", form)

    assert answer.status_code == 422
    assert told in text_of(answer)


def test_the_present_number_is_no_new_one(me):
    answer = signed_in(me).post("/rekening/nomor/", {"phone": old_phone(me), "has_old": "1"})

    assert "This is the number that we have already." in text_of(answer)


def test_a_number_of_another_registrant_is_refused(me, texts):
    [other] = make_recipients_now(first=2000)
    client, old = signed_in(me), old_phone(me)
    wanted = begin(client, old_phone(other))

    codes = {"old_code": texts(old), "code": texts(old_phone(other))}
    answer = client.post("/rekening/nomor/kode/", {"wanted": wanted, **codes})

    assert "belongs to another registration" in text_of(answer)
    assert old_phone(me) == old


def identity(**changes):
    person = make_person(1000)
    born = person.birth_date
    parts = {"birth_date_0": born.day, "birth_date_1": born.month, "birth_date_2": born.year}
    return {"nik": person.nik, "kk": person.kk, **parts} | changes


def test_without_the_old_phone_a_change_waits_a_week_and_the_owner_can_stop_it(me, texts):
    client, old = signed_in(me), old_phone(me)
    wanted = begin(client, has_old="0")

    answer = client.post("/rekening/nomor/kode/", {"wanted": wanted, **identity(), "code": texts("+6281299990001")})

    assert answer.url == "/rekening/"
    told = page(client, "/rekening/")
    assert "A change has been asked for" in told
    assert "Stop this change" in told
    assert old_phone(me) == old
    change = AccountChange.objects.get()
    changing.take_effect(at=change.takes_effect_at, void=void)
    assert old_phone(me) == "+6281299990001"


def test_a_browser_that_the_lost_phone_has_signed_in_is_signed_out_when_another_phone_takes_its_place(me, texts):
    by_link, by_phone = signed_in(me), signed_in_by_phone(old_phone(me), texts)
    wanted = begin(by_link, has_old="0")
    by_link.post("/rekening/nomor/kode/", {"wanted": wanted, **identity(), "code": texts("+6281299990001")})
    page(by_phone, "/rekening/")

    changing.take_effect(at=AccountChange.objects.get().takes_effect_at, void=void)

    assert by_phone.get("/rekening/").url == "/masuk/"
    assert "registrant" not in by_phone.session
    page(by_link, "/rekening/")


def test_who_changes_the_phone_with_both_at_hand_stays_signed_in_there_and_nowhere_else(me, texts):
    old = old_phone(me)
    here = signed_in_by_phone(old, texts)
    later_codes(me)
    elsewhere = signed_in_by_phone(old, texts)
    later_codes(me)
    wanted = begin(here)

    codes = {"old_code": texts(old), "code": texts("+6281299990001")}
    here.post("/rekening/nomor/kode/", {"wanted": wanted, **codes})

    assert "+62812******01" in page(here, "/rekening/")
    assert elsewhere.get("/rekening/").url == "/masuk/"


@pytest.mark.parametrize("wrong", [{"birth_date_0": "9"}, {"kk": make_person(5).kk}])
def test_a_wrong_identity_asks_for_nothing_and_is_not_told_apart_from_a_wrong_code(me, texts, wrong):
    client = signed_in(me)
    wanted = begin(client, has_old="0")

    answer = client.post("/rekening/nomor/kode/", {"wanted": wanted, **identity(**wrong), "code": texts("+6281299990001")})
    code = client.post("/rekening/nomor/kode/", {"wanted": wanted, **identity(), "code": "000000"})

    assert answer.status_code == code.status_code == 422
    assert not AccountChange.objects.exists()
    assert "do not all match" in text_of(answer)
