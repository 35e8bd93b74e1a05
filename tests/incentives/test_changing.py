"""Another account, another phone: with a code to the one of before, or after a week in which its owner can object."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from foundation import outbox
from foundation.models import Work
from incentives import changing, notices, results
from incentives.changing import Identity, Outcome, Wanted
from incentives.models import Account, AccountChange, State
from incentives.numbers import digest_of
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
from tests.processes import wait_until
from tests.trainings import cast as trainings
from tests.waves.cast import at_the_same_time, waits_for_us
from verification import codes, phone, signin
from verification.models import OneTimeCode

pytestmark = pytest.mark.django_db

NEW_PHONE = "+6281399990001"


def proven() -> bool:
    return True


def not_proven() -> bool:
    return False


def take_effect(at: datetime, **options: int) -> int:
    return changing.take_effect(at=at, void=codes.void, **options)


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


def test_what_comes_back_from_an_account_that_was_changed_since_shuts_nothing_and_the_new_one_is_asked_about():
    [id] = make_payable()
    bank = Bank()
    pay(bank)
    changing.change(id, "bni", "5555555555", proof=proven, at=LATER)
    check()

    results.apply([Result(payout(id).reference, Paid.REVERSED_INACTIVE)], payer="bni", at=LATER)

    assert owed(id).state == State.REVERSED
    assert owed(id).gate == 0, "the cause is gone"
    assert account(id).checked_at is None, "nobody has asked whether it can hold this, too"
    check()
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
    early = take_effect(LATER + timedelta(days=7) - timedelta(seconds=1))
    told_at_once = told()
    due = take_effect(LATER + timedelta(days=7))

    assert (outcome, early, due) == (Outcome.ASKED, 0, 1)
    assert told_at_once == ([person(id).email], [old])
    assert person(id).phone == NEW_PHONE
    assert account(id).digest == UUID(digest_of("bni", "5555555555"))
    assert sorted(told()[1]) == sorted([old, NEW_PHONE])
    assert take_effect(LATER + timedelta(days=9)) == 0


# Codes to the phone that is lost

WEEK_LATER = LATER + timedelta(days=7)


def make_waiting() -> int:
    """Somebody whose lost phone is replaced a week later."""
    [id] = make_payable()
    assert changing.ask(id, Wanted(NEW_PHONE), identity=identity(id), proof=proven, at=LATER) is Outcome.ASKED
    return id


def code_for(id: int) -> str:
    """A code to the phone of now, its limits of sending taken for over."""
    OneTimeCode.objects.filter(pk=id).update(sent_at=[])
    return codes.issue([id])[id].code


def is_right(id: int, code: str) -> bool:
    return codes.check([codes.Typed(id, code)]) == [codes.Check.RIGHT]


def test_a_code_that_was_sent_before_the_change_is_worth_nothing_after_it():
    id = make_waiting()
    old = phone_digest(person(id).phone)
    code = code_for(id)

    take_effect(WEEK_LATER)

    assert signin.use_code(old, code) is None
    assert signin.use_code(phone_digest(NEW_PHONE), code) is None
    assert changing.change(id, "bri", "1" * 15, proof=lambda: is_right(id, code), at=WEEK_LATER) is Outcome.NOT_PROVEN
    assert changing.change_phone(id, "+6281399990002", proof=lambda: is_right(id, code), at=WEEK_LATER) is Outcome.NOT_PROVEN


def test_a_code_that_was_asked_for_before_the_change_and_not_sent_yet_is_sent_to_nobody(mailbox):
    id = make_waiting()
    signin.ask_by_phone(person(id).phone)

    take_effect(WEEK_LATER)
    phone.send_batch(sms=mailbox.sms, size=10)

    assert mailbox.texts == []
    assert not Work.objects.filter(queue="phone").exists()


def test_a_code_that_is_asked_for_after_the_change_goes_to_the_new_phone_and_signs_in(mailbox):
    id = make_waiting()
    old = person(id).phone
    code_for(id)
    take_effect(WEEK_LATER)
    OneTimeCode.objects.update(sent_at=[])

    for number in (old, NEW_PHONE):
        digest = signin.ask_by_phone(number)
        phone.send_batch(sms=mailbox.sms, size=10)

    assert [text.to for text in mailbox.texts] == [NEW_PHONE]
    assert signin.use_code(digest, mailbox.codes()[0]) == id


@pytest.mark.django_db(transaction=True)
def test_who_types_the_old_code_while_the_change_takes_effect_waits_and_is_not_signed_in():
    id = make_waiting()
    old, code = phone_digest(person(id).phone), code_for(id)

    with at_the_same_time(lambda: signin.use_code(old, code)) as typing:
        take_effect(WEEK_LATER)

    assert (typing.waited, typing.outcome, typing.error) == (True, None, None)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("has_had_one", [True, False])
def test_who_asks_for_a_code_while_the_change_takes_effect_gets_it_on_the_new_phone(mailbox, has_had_one):
    id = make_waiting()
    if has_had_one:
        code_for(id)
        OneTimeCode.objects.update(sent_at=[])

    with at_the_same_time(lambda: phone.send_code(id)) as asking:
        take_effect(WEEK_LATER)
    phone.send_batch(sms=mailbox.sms, size=10)

    assert (asking.waited, asking.outcome, asking.error) == (True, True, None)
    assert [text.to for text in mailbox.texts] == [NEW_PHONE]


@pytest.mark.django_db(transaction=True)
def test_a_change_waits_for_who_has_just_typed_a_code_and_neither_waits_for_ever():
    id = make_waiting()
    code = code_for(id)
    other = Beside(lambda: take_effect(WEEK_LATER))

    def proof() -> bool:
        right = is_right(id, code)
        other.begin()
        return right

    outcome = changing.change(id, "bri", "1" * 15, proof=proof, at=LATER)

    assert outcome is Outcome.CHANGED
    assert other.end() == 1
    assert person(id).phone == NEW_PHONE
    assert not is_right(id, code)


@pytest.mark.django_db(transaction=True)
def test_many_who_type_codes_while_many_changes_take_effect_are_never_signed_in_afterwards():
    ids = make_payable(24)
    for place, id in enumerate(ids):
        wanted = Wanted(f"+62813999900{place:02}")
        assert changing.ask(id, wanted, identity=identity(id), proof=proven, at=LATER) is Outcome.ASKED
    issued = codes.issue(ids)
    typed = [codes.Typed(id, code.code) for id, code in issued.items()]

    def act(place: int) -> None:
        if place % 2:
            phone.type_codes([phone.Typed(*entry) for entry in typed[place::6]])
        else:
            take_effect(WEEK_LATER, size=8)

    trainings.in_threads(6, act)  # what fails in a thread fails here: nobody was the victim of a deadlock

    assert set(codes.check(typed)) == {codes.Check.NOT_LIVE}
    assert take_effect(WEEK_LATER) == 0
    assert all(person(id).phone.startswith("+628139999") for id in ids)


class Beside:
    """Somebody who works beside us, from when they are told to begin."""

    def __init__(self, act: Callable[[], Any]) -> None:
        self._act, self._pool = act, ThreadPoolExecutor(1)

    def _run(self) -> Any:
        try:
            return self._act()
        finally:
            connection.close()

    def begin(self) -> None:
        """Begin, until it is done or waits for us."""
        self._done = self._pool.submit(self._run)
        wait_until(lambda: self._done.done() or waits_for_us(), seconds=30, what="the other one waits, or is done")

    def end(self) -> Any:
        return self._done.result(30)


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

    assert take_effect(LATER + 30 * DAY) == 0
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

    take_effect(LATER + 8 * DAY)

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
