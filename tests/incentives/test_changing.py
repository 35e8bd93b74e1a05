"""Another account, another phone: with a code to the one of before, or after a week in which its owner can object."""

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from foundation import outbox
from foundation.models import Work
from incentives import changing, notices, results
from incentives.changing import Identity, Outcome, Wanted
from incentives.models import Account, AccountChange, State
from incentives.payout import Outcome as Paid
from incentives.results import Result
from registrations import ladder
from registrations.models import PhoneOwner
from registrations.ownership import owner_of
from registrations.person import phone_digest
from registrations.stages import DropOff, Stage
from tests.conftest import Mailbox
from tests.incentives.cast import (
    DAY,
    LATER,
    Bank,
    account,
    check,
    link,
    make_batch,
    make_completed,
    make_owed,
    make_payable,
    owed,
    pay,
    payout,
    plain,
    registrant,
    send,
)
from verification import codes

pytestmark = pytest.mark.django_db

NEW_PHONE = "+6281399990001"


def proven() -> bool:
    return True


def not_proven() -> bool:
    return False


def person(id: int):
    return ladder.standing([id], Stage.SELECTED, or_above=True)[id].open()


def identity(id: int) -> Identity:
    found = person(id)
    return Identity(found.nik, found.kk, found.birth_date)


def told() -> tuple[list[str], list[str]]:
    """Who got a mail, and who an SMS."""
    box = Mailbox()
    while outbox.send_batch(email=box.email, size=100):
        pass
    while notices.send_texts(sms=box.sms, size=100):
        pass
    return [mail.to for mail in box.mails], [text.to for text in box.texts]


def test_with_a_code_another_account_takes_the_place_of_the_present_one():
    [id] = make_payable()
    before = account(id)

    outcome = changing.change(id, "bri", "123456789012345", proof=proven, at=LATER)

    assert outcome is Outcome.CHANGED
    assert Account.objects.get(pk=before.pk).ended_at == LATER
    assert (account(id).payer, account(id).checked_at) == ("bri", None)
    assert told() == ([person(id).email], [person(id).phone])


@pytest.mark.parametrize(
    ("payer", "number", "proof", "outcome"),
    [
        ("bni", "5555555555", not_proven, Outcome.NOT_PROVEN),
        ("bni", "12", proven, Outcome.BAD_NUMBER),
        ("shopee", "5555555555", proven, Outcome.UNKNOWN_PAYER),
        ("bni", "taken", proven, Outcome.TAKEN),
        ("bni", "mine", proven, Outcome.ALREADY),
    ],
)
def test_what_cannot_be_changed_leaves_the_present_account_as_it_is(payer, number, proof, outcome):
    id, other = make_payable(2)
    given = {"taken": plain(other), "mine": plain(id)}.get(number, number)
    before = account(id).pk

    assert changing.change(id, payer, given, proof=proof, at=LATER) is outcome

    assert account(id).pk == before
    assert told() == ([], [])


def test_a_payout_in_a_batch_keeps_its_account():
    [id] = make_payable()
    make_batch()
    bank = Bank()

    changing.change(id, "bni", "5555555555", proof=proven, at=LATER)
    send(bank)

    assert [order.account for order in bank.credited.values()] == [plain(id)]
    assert owed(id).state == State.PAID


def test_what_comes_back_from_an_account_that_was_changed_since_shuts_nothing():
    [id] = make_payable()
    bank = Bank()
    pay(bank)
    changing.change(id, "bni", "5555555555", proof=proven, at=LATER)
    check()

    results.apply([Result(payout(id).reference, Paid.REVERSED_INACTIVE)], payer="bni", at=LATER)

    assert owed(id).state == State.REVERSED
    assert owed(id).gate == 0, "the cause is gone"
    pay(bank)
    assert owed(id).state == State.PAID


def test_an_account_that_was_given_up_can_be_anothers():
    first, second = make_payable(2)

    changing.change(first, "bni", "5555555555", proof=proven, at=LATER)
    outcome = changing.change(second, "bni", plain(first), proof=proven, at=LATER)

    assert outcome is Outcome.CHANGED


def test_with_codes_to_both_the_phone_is_changed_and_a_wallet_is_looked_at_again():
    [id] = make_owed()
    old = person(id).phone
    link([id], numbers=["0" + old[3:]], payer="ovo")
    check(code="ovo")

    outcome = changing.change_phone(id, NEW_PHONE, proof=proven, at=LATER)

    assert outcome is Outcome.CHANGED
    assert person(id).phone == NEW_PHONE
    assert owner_of(PhoneOwner, phone_digest(NEW_PHONE)) == id
    assert owner_of(PhoneOwner, phone_digest(old)) is None
    assert told() == ([person(id).email], [old]), "the old number is told"
    check(code="ovo")
    assert registrant(id).drop_off == DropOff.ACCOUNT_PHONE_DIFFERS


def test_a_phone_that_is_anothers_is_not_taken():
    id, other = make_completed(2)

    assert changing.change_phone(id, person(other).phone, proof=proven, at=LATER) is Outcome.TAKEN

    assert person(id).phone != person(other).phone


def test_who_has_lost_the_phone_waits_a_week_and_all_old_contacts_are_told():
    [id] = make_payable()
    old = person(id).phone

    outcome = changing.ask(id, Wanted(NEW_PHONE, "bni", "5555555555"), identity=identity(id), proof=proven, at=LATER)
    early = changing.take_effect(at=LATER + timedelta(days=7) - timedelta(seconds=1))
    told_at_once = told()
    due = changing.take_effect(at=LATER + timedelta(days=7))

    assert (outcome, early, due) == (Outcome.ASKED, 0, 1)
    assert told_at_once == ([person(id).email], [old])
    assert person(id).phone == NEW_PHONE
    assert account(id).digest != plain(id)
    assert sorted(told()[1]) == sorted([old, NEW_PHONE])
    assert changing.take_effect(at=LATER + timedelta(days=9)) == 0


def another_account(id: int, at: datetime) -> Outcome:
    return changing.change(id, "bri", "123456789012345", proof=proven, at=at)


def another_phone(id: int, at: datetime) -> Outcome:
    return changing.change_phone(id, "+6281399990002", proof=proven, at=at)


@pytest.mark.parametrize("prove", [another_account, another_phone])
def test_a_code_to_the_lost_phone_proves_nothing_after_the_change(prove):
    [id] = make_payable()
    changing.ask(id, Wanted(NEW_PHONE), identity=identity(id), proof=proven, at=LATER)
    changing.take_effect(at=LATER + timedelta(days=7))

    at_once = prove(id, LATER + timedelta(days=7))
    later = prove(id, LATER + timedelta(days=7, minutes=11))

    assert (at_once, later) == (Outcome.NOT_PROVEN, Outcome.CHANGED)
    assert codes.LIFE < changing.CODE_LIVES


def test_codes_are_looked_at_before_the_person_is_held():
    [id] = make_payable()
    said: list[str] = []

    def proof() -> bool:
        said.extend(query["sql"] for query in queries)
        return True

    with CaptureQueriesContext(connection) as queries:
        outcome = changing.ask(id, Wanted(NEW_PHONE), identity=identity(id), proof=proof, at=LATER)

    assert outcome is Outcome.ASKED
    assert said
    assert not [sql for sql in said if "registrations_registrant" in sql and "FOR NO KEY UPDATE" in sql]


def test_the_owner_of_the_old_phone_objects():
    [id] = make_payable()
    changing.ask(id, Wanted(NEW_PHONE), identity=identity(id), proof=proven, at=LATER)

    assert changing.cancel(id, at=LATER + DAY)

    assert changing.take_effect(at=LATER + 30 * DAY) == 0
    assert person(id).phone != NEW_PHONE
    assert not changing.cancel(id, at=LATER + DAY)


def test_while_a_change_waits_money_goes_to_the_account_of_before():
    [id] = make_payable()
    bank = Bank()
    changing.ask(id, Wanted(NEW_PHONE, "bni", "5555555555"), identity=identity(id), proof=proven, at=LATER)

    pay(bank)

    assert [order.account for order in bank.credited.values()] == [plain(id)]


@pytest.mark.parametrize("wrong", ["nik", "kk", "birth_date"])
def test_an_identity_matches_in_all_parts_or_not_at_all(wrong):
    [id] = make_completed()
    other = identity(id)._replace(
        **{wrong: person(id).birth_date + timedelta(days=1) if wrong == "birth_date" else "1" * 16}
    )

    assert changing.ask(id, Wanted(NEW_PHONE), identity=other, proof=proven, at=LATER) is Outcome.NOT_PROVEN

    assert not AccountChange.objects.exists()


def test_guessing_who_somebody_is_ends_soon():
    [id] = make_completed()
    guess = identity(id)._replace(kk="1" * 16)

    outcomes = [
        changing.ask(id, Wanted(NEW_PHONE), identity=guess, proof=proven, at=LATER + timedelta(minutes=10 * n))
        for n in range(4)
    ]

    assert outcomes == [Outcome.NOT_PROVEN] * 3 + [Outcome.TOO_OFTEN]


@pytest.mark.parametrize(
    ("wanted", "outcome"),
    [
        (Wanted(NEW_PHONE, "bni", "12"), Outcome.BAD_NUMBER),
        (Wanted(NEW_PHONE, "shopee", "5555555555"), Outcome.UNKNOWN_PAYER),
        (Wanted(NEW_PHONE, "bni", "others"), Outcome.TAKEN),
        (Wanted("others"), Outcome.TAKEN),
    ],
)
def test_what_cannot_come_true_is_not_waited_for(wanted, outcome):
    id, other = make_payable(2)
    wanted = wanted._replace(
        phone=person(other).phone if wanted.phone == "others" else wanted.phone,
        number=plain(other) if wanted.number == "others" else wanted.number,
    )

    assert changing.ask(id, wanted, identity=identity(id), proof=proven, at=LATER) is outcome


def test_one_change_waits_at_a_time():
    [id] = make_completed()
    changing.ask(id, Wanted(NEW_PHONE), identity=identity(id), proof=proven, at=LATER)

    outcome = changing.ask(id, Wanted("+6281399990002"), identity=identity(id), proof=proven, at=LATER + DAY)

    assert outcome is Outcome.WAITS


def test_a_change_whose_phone_became_anothers_meanwhile_does_not_take_effect():
    id, other = make_payable(2)
    changing.ask(id, Wanted(NEW_PHONE, "bni", "5555555555"), identity=identity(id), proof=proven, at=LATER)
    changing.change_phone(other, NEW_PHONE, proof=proven, at=LATER)

    changing.take_effect(at=LATER + 8 * DAY)

    assert person(id).phone != NEW_PHONE
    assert account(id).ended_at is None
    assert AccountChange.objects.get().cancelled_at == LATER + 8 * DAY
    assert account(id).pk == min(Account.objects.filter(registrant_id=id).values_list("pk", flat=True))


def test_strangers_change_nothing():
    assert changing.change(10**12, "bni", "5555555555", proof=proven, at=LATER) is Outcome.NOT_A_RECIPIENT
    assert changing.change_phone(10**12, NEW_PHONE, proof=proven, at=LATER) is Outcome.NOT_A_RECIPIENT
    assert (
        changing.ask(10**12, Wanted(NEW_PHONE), identity=Identity("", "", LATER.date()), proof=proven, at=LATER)
        is Outcome.NOT_A_RECIPIENT
    )


def test_nothing_personal_is_shown_or_kept_in_the_clear():
    [id] = make_payable()
    changing.ask(id, Wanted(NEW_PHONE, "bni", "5555555555"), identity=identity(id), proof=proven, at=LATER)

    kept = bytes(AccountChange.objects.get().sealed)

    assert NEW_PHONE.encode() not in kept
    assert b"5555555555" not in kept
    assert repr(Wanted(NEW_PHONE)) == "Wanted()"
    assert repr(identity(id)) == "Identity()"
    assert all(NEW_PHONE.encode() not in bytes(work.notes) for work in Work.objects.exclude(notes=None))
