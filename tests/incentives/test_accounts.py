"""One live account per person, one person per account; its payer says whether it is fit, and who must act."""

from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from foundation.models import Work
from foundation.services import Unavailable
from incentives import changing, checking, gating, linking, surveys
from incentives.checking import Again, Heard, Told
from incentives.gates import Actor, Gate
from incentives.linking import Link, Outcome
from incentives.models import Account, Obligation
from incentives.numbers import open_number
from incentives.payout import Verdict
from incentives.surveys import Answer
from registrations.stages import DropOff
from tests.incentives.cast import (
    DAY,
    LATER,
    Bank,
    account,
    check,
    grown_old,
    link,
    magic,
    make_batch,
    make_completed,
    make_owed,
    make_payable,
    open_all,
    owed,
    pay,
    plain,
    registrant,
)
from tests.people import make_registrants
from tests.trainings import cast as trainings
from trainings.models import Purchase

pytestmark = pytest.mark.django_db


def test_an_account_is_linked_sealed_and_opens_for_its_owner_only():
    [id] = make_completed()

    assert link([id]) == [Outcome.LINKED]

    found = account(id)
    assert plain(id).encode() not in bytes(found.sealed)
    assert open_number(found.sealed, payer="bni", registrant_id=id, digest=found.digest.hex) == plain(id)
    assert found.checked_at is None
    assert Work.objects.get(queue="check_bni").subjects == [found.pk]


@pytest.mark.parametrize(
    ("payer", "number", "outcome"),
    [
        ("bni", "12345", Outcome.BAD_NUMBER),
        ("bni", "12345678AB", Outcome.BAD_NUMBER),
        ("bni", "１２３４５６７８９０", Outcome.BAD_NUMBER),
        ("bri", "1234567890", Outcome.BAD_NUMBER),
        ("ovo", "62812345678", Outcome.BAD_NUMBER),
        ("shopee", "1234567890", Outcome.UNKNOWN_PAYER),
        ("bni", "123-456.7 890", Outcome.LINKED),
        ("ovo", "0812-3456-7890", Outcome.LINKED),
    ],
)
def test_a_number_has_the_form_of_its_payer(payer, number, outcome):
    [id] = make_completed()

    assert link([id], numbers=[number], payer=payer) == [outcome]


def test_linking_again_is_harmless_another_account_is_a_change():
    [id] = make_completed()

    outcomes = link([id, id, id], numbers=["1234567890", "1234567890", "1234567891"])

    assert outcomes == [Outcome.LINKED, Outcome.ALREADY, Outcome.HAS_ANOTHER]
    assert link([id], numbers=["1234567890"]) == [Outcome.ALREADY]
    assert Account.objects.count() == 1


def test_one_account_is_one_persons():
    first, second, third = make_completed(3)

    assert link([first, second], numbers=["1234567890"] * 2) in (
        [Outcome.LINKED, Outcome.TAKEN],
        [Outcome.TAKEN, Outcome.LINKED],
    )

    assert link([third, third], numbers=["1234567890"] * 2) == [Outcome.TAKEN] * 2
    assert Account.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_many_who_want_one_account_at_once_one_gets_it():
    ids = make_completed(8)

    outcomes = trainings.in_threads(8, lambda place: link([ids[place]], numbers=["1234567890"])[0])

    assert sorted(outcome.value for outcome in outcomes) == ["linked"] + ["taken"] * 7
    assert Account.objects.filter(ended_at=None).count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_many_accounts_that_one_person_links_at_once_one_is_live():
    [id] = make_completed()

    outcomes = trainings.in_threads(8, lambda place: link([id], numbers=[f"12345678{place:02}"])[0])

    assert sorted(outcome.value for outcome in outcomes) == ["has another"] * 7 + ["linked"]
    assert Account.objects.filter(ended_at=None).count() == 1


def test_only_recipients_link():
    [stranger] = make_registrants(1, first=50)

    assert link([stranger, 10**12]) == [Outcome.NOT_A_RECIPIENT] * 2


@pytest.mark.parametrize(
    ("code", "gate"),
    [
        (11, Gate.ACCOUNT_OF_ANOTHER),
        (12, Gate.ACCOUNT_INACTIVE),
        (13, Gate.ACCOUNT_NOT_UPGRADED),
        (14, Gate.ACCOUNT_PHONE_DIFFERS),
        (15, Gate.ACCOUNT_FULL),
    ],
)
def test_each_thing_wrong_with_an_account_is_a_gate_on_person_and_money(code, gate):
    [id] = make_owed()

    link([id], numbers=[magic(code)])
    check()

    assert account(id).gate == gate
    assert gate.who is Actor.REGISTRANT
    assert registrant(id).drop_off == gate
    assert set(Obligation.objects.of([id]).values_list("gate", flat=True)) == {gate}


def test_a_wallet_has_the_persons_own_phone():
    first, second = make_owed(2)
    phones = ["0812" + str(34000000 + 1000), "081299999999"]

    assert link([first, second], numbers=phones, payer="gopay") == [Outcome.LINKED] * 2
    check(code="gopay")

    assert account(first).gate == Gate.NONE
    assert account(second).gate == Gate.ACCOUNT_PHONE_DIFFERS


def test_an_account_that_is_being_checked_is_no_gate_and_no_payment():
    [id] = make_owed()
    assert registrant(id).drop_off == DropOff.NO_ACCOUNT

    link([id])

    assert registrant(id).drop_off == DropOff.NONE
    assert owed(id).gate == Gate.NONE
    assert account(id).checked_at is None


@pytest.mark.parametrize(
    ("certified", "reviewed", "linked", "gate"),
    [
        (False, False, False, Gate.CERTIFICATE_MISSING),
        (True, False, False, Gate.NOT_REVIEWED),
        (True, True, False, Gate.NO_ACCOUNT),
        (True, True, True, Gate.NONE),
        (False, True, True, Gate.CERTIFICATE_MISSING),
        (True, False, True, Gate.NOT_REVIEWED),
    ],
)
def test_gates_are_told_one_at_a_time_in_order(certified, reviewed, linked, gate):
    [id] = make_completed(certified=certified, reviewed=reviewed)
    if linked:
        link([id])

    open_all()

    assert registrant(id).drop_off == gate
    assert set(Obligation.objects.of([id]).values_list("gate", flat=True)) == {gate}


def test_a_certificate_and_a_review_that_come_later_open_their_gates():
    [id] = make_owed(certified=False, reviewed=False)
    code = Purchase.objects.get(registrant_id=id).redeem_code

    trainings.certify([code])
    assert gating.refresh_batch(size=10, clock=lambda: LATER) == 1
    after_certificate = registrant(id).drop_off
    trainings.review([id])
    gating.refresh_batch(size=10, clock=lambda: LATER)

    assert after_certificate == DropOff.NOT_REVIEWED
    assert registrant(id).drop_off == DropOff.NO_ACCOUNT


def test_a_payer_who_says_nothing_is_asked_again_and_nobody_is_turned_away():
    [id] = make_owed()
    link([id], numbers=[magic(16)])

    check()

    assert account(id).checked_at is None
    assert registrant(id).drop_off == DropOff.NONE
    assert Work.objects.get(queue="check_bni").unknowns == 1


def test_a_payer_that_is_down_holds_up_no_other():
    first, second = make_owed(2)
    link([first])
    link([second], numbers=["123456789012345"], payer="bri")

    class Down:
        def check(self, queries):
            raise Unavailable("status 503")

    checking.check_batch("bni", payer=Down(), size=10)
    check(code="bri")

    assert account(first).checked_at is None
    assert account(second).checked_at == LATER


def test_who_has_put_it_right_has_the_payer_asked_again_but_not_every_minute():
    [id] = make_owed()
    link([id], numbers=[magic(12)])
    check()

    too_soon = checking.again([id], at=LATER + timedelta(minutes=9))
    asked = checking.again([id], at=LATER + timedelta(minutes=10))

    assert (too_soon, asked) == ([Again.TOO_SOON], [Again.ASKED])
    assert registrant(id).drop_off == DropOff.NONE
    assert checking.again([id, 10**12], at=LATER + timedelta(hours=1)) == [Again.NEEDLESS, Again.NO_ACCOUNT]


def asked_about() -> list[int]:
    return sorted(subject for parcel in Work.objects.filter(queue="check_bni") for subject in parcel.subjects)


def look_for_old_ones(at: datetime) -> None:
    while checking.recheck(at=at, size=7):
        pass


def test_of_old_accounts_payers_are_asked_once_however_often_somebody_looks():
    ids = make_payable(10)

    for _ in range(2):
        look_for_old_ones(grown_old())

    assert asked_about() == sorted(account(id).pk for id in ids)
    assert {account(id).checked_at for id in ids} == {None}


@pytest.mark.django_db(transaction=True)
def test_of_old_accounts_payers_are_asked_once_by_many_who_look_at_once():
    ids = make_payable(30)

    trainings.in_threads(4, lambda _: look_for_old_ones(grown_old()))

    assert asked_about() == sorted(account(id).pk for id in ids)


@pytest.mark.parametrize(("before", "asked"), [(timedelta(days=3), True), (timedelta(days=3, seconds=1), False)])
def test_payers_are_asked_again_three_days_before_something_is_due(before, asked):
    [id] = make_payable()
    pay(at=grown_old() - DAY)

    looked_at = checking.recheck(at=owed(id, 4).due_at - before, size=10)

    assert bool(looked_at) is asked is (account(id).checked_at is None)


def test_where_nothing_can_be_paid_anyway_no_payer_is_asked_again():
    blocked, in_a_batch = make_payable(2)
    checking.told([Told(str(account(blocked).pk), Verdict.INACTIVE)], payer="bni", at=LATER)
    make_batch(at=grown_old() - DAY)

    assert checking.recheck(at=grown_old(), size=10) == 0

    assert (account(blocked).gate, account(in_a_batch).revision) == (Gate.ACCOUNT_INACTIVE, 0)


def test_a_payer_tells_of_its_own_accord_and_of_its_own_accounts_only():
    first, second = make_owed(2)
    link([first, second], numbers=[magic(13), "1234567890"])
    check()
    reference = str(account(first).pk)

    by_another = checking.told([Told(reference, Verdict.FIT)], payer="bri", at=LATER)
    heard = checking.told(
        [Told(reference, Verdict.FIT), Told(str(account(second).pk), Verdict.INACTIVE), Told("x", Verdict.FIT)],
        payer="bni",
        at=LATER,
    )

    assert by_another == [Heard.UNKNOWN]
    assert heard == [Heard.NOTED, Heard.NOTED, Heard.UNKNOWN]
    assert registrant(first).drop_off == DropOff.NONE
    assert registrant(second).drop_off == DropOff.ACCOUNT_INACTIVE


class Limited(Bank):
    """Its accounts hold so many rupiah; what was asked is noted."""

    def __init__(self, most: int = 10_000_000) -> None:
        super().__init__()
        self.most, self.asked = most, list[int]()

    def check(self, queries):
        self.asked += [query.amount for query in queries]
        return [Verdict.FULL if query.amount > self.most else Verdict.FIT for query in queries]


#: A check of this day counts until that many months are due, and the first survey opens.
DUE = {
    -20: 2 * 600_000 + 50_000,
    0: 3 * 600_000 + 50_000,
    70: 4 * 600_000 + 50_000,
}


@pytest.mark.parametrize(("days", "rupiah"), DUE.items())
def test_an_account_must_hold_all_that_can_fall_due_while_its_check_counts(days, rupiah):
    [id] = make_owed()
    link([id])
    bank = Limited()

    check(bank, at=LATER + timedelta(days=days))

    assert bank.asked == [rupiah]


def test_who_has_completed_nothing_yet_may_do_so_the_next_day():
    [id] = trainings.make_recipients(1)
    link([id])
    bank = Limited()

    check(bank)

    assert bank.asked == [3 * 600_000 + 50_000]


def test_an_account_need_not_hold_again_what_was_paid():
    [id] = make_payable()
    pay()
    bank = Limited()

    def ask(days):
        checking.reopen([("bni", account(id).pk)])
        check(bank, at=LATER + days * DAY)

    ask(20)
    assert surveys.answer([Answer(id, 1, LATER + 30 * DAY)]) == [surveys.Outcome.OPENED]
    ask(39)
    pay(at=LATER + 39 * DAY)
    ask(40)

    assert bank.asked == [2 * 600_000 + 2 * 50_000, 3 * 600_000 + 3 * 50_000, 2 * 600_000 + 2 * 50_000]


def test_no_batch_takes_more_into_an_account_than_its_payer_was_asked_about():
    """For two months a review is missing; then all that was due meanwhile is paid at once, on the last day of the check."""
    [id] = make_owed(reviewed=False)
    link([id])
    bank = Limited()
    check(bank)
    at = grown_old() - timedelta(microseconds=1)
    trainings.review([id])
    gating.refresh_batch(size=10, clock=lambda: at)

    pay(bank, at=at)

    paid = sum(order.amount for order in bank.credited.values())
    assert (len(bank.credited), len(bank.asked)) == (3, 1)
    assert paid <= bank.asked[0]


def test_an_account_that_cannot_hold_what_comes_is_a_gate():
    [id] = make_owed()
    link([id])

    check(Limited(1_000_000))

    assert account(id).gate == owed(id).gate == Gate.ACCOUNT_FULL


def test_an_answer_about_the_phone_of_before_says_nothing():
    [id] = make_owed()
    link([id], numbers=[f"08{id:09}"], payer="gopay")

    class Slow:
        """While it answers, the phone is changed."""

        def check(self, queries):
            changing.change_phone(id, "+6281399990001", proof=lambda: True, at=LATER)
            return [Verdict.FIT] * len(queries)

    checking.check_batch("gopay", payer=Slow(), size=10, clock=lambda: LATER)

    assert account(id).checked_at is None, "it is asked about with the new phone"
    check(code="gopay")
    assert account(id).gate == Gate.ACCOUNT_PHONE_DIFFERS


def test_the_database_refuses_a_second_live_account_whoever_writes_it():
    [id] = make_payable()

    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO incentives_account (registrant_id, digest, linked_at, sealed, payer, gate)"
            " VALUES (%s, gen_random_uuid(), now(), '', 'bni', 0)",
            [id],
        )


def test_what_is_linked_shows_no_number():
    assert repr(Link(7, "bni", "1234567890", LATER)) == "Link(7)"
    assert "1234567890" not in str(linking.Linked(1, 7, "00"))
