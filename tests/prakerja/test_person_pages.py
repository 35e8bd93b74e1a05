"""One person's money on the office's page: who may look, by what, what is written down, and that all of it adds up."""

import pytest
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command

from incentives import results, surveys
from incentives.models import State
from incentives.payout import Outcome
from incentives.results import Result
from prakerja import person_pages, walk
from prakerja.models import Deed
from registrations.stages import Stage
from tests.incentives.cast import DAY, LATER, check, clerk, magic, make_owed, make_payable, pay, payout
from tests.people import make_person, make_registrant
from tests.prakerja.test_money_pages import signed_in, text_of
from tests.trainings.cast import buy, cancel, card, make_training
from trainings.models import Purchase, Transfer
from waves.cards import PREFIX, check_digit

pytestmark = pytest.mark.django_db

PAGE = "/pmo/uang/orang/"
#: Of the first person of the cast.
FIRST = 1000


def permit(name, *codenames):
    allowed = Permission.objects.filter(content_type__app_label="prakerja", codename__in=codenames)
    clerk(name).user_permissions.set(allowed)


@pytest.fixture
def ani(client):
    """She may look people up."""
    permit("ani", "look_up_people")
    return signed_in(client, "ani")


def looked_up(who, kind, number, *, reason="Asks why nothing came", **told):
    return who.post(PAGE, {"kind": kind, "number": number, "reason": reason, **told})


def numbers_of(id):
    person = make_person(FIRST)
    return {"card": card(id), "nik": person.nik, "phone": f"0{person.phone[3:]}", "registrant": str(id)}


def deeds():
    return list(Deed.objects.order_by("pk").values_list("name", "about", "by__username"))


# Who may


def test_staff_without_the_permission_see_nobody_and_are_offered_no_way_there(client):
    [id] = make_owed(1)
    ani = signed_in(client, "ani")

    assert ani.get(PAGE).status_code == looked_up(ani, "registrant", id).status_code == 403

    assert PAGE not in ani.get("/pmo/uang/").content.decode()
    assert not Deed.objects.exists()


def test_the_permission_is_given_and_taken_back_by_command(client):
    ani = signed_in(client, "ani")
    for options, status in (([], 200), (["--take-back"], 403)):
        call_command("permit", "ani", "look_up_people", *options)
        assert ani.get(PAGE).status_code == status

    with pytest.raises(CommandError, match="no such member of staff"):
        call_command("permit", "nobody", "look_up_people")


def test_of_the_demos_clerks_both_may_look_people_up_and_one_may_see_them_in_full():
    for _again in range(2):
        maker, checker = walk.clerks()

    assert [maker.has_perm(person_pages.MAY_LOOK_UP), maker.has_perm(person_pages.MAY_SEE)] == [True, False]
    assert [checker.has_perm(person_pages.MAY_LOOK_UP), checker.has_perm(person_pages.MAY_SEE)] == [True, True]


def test_a_person_is_found_by_each_exact_number_and_each_look_up_is_written_down(ani):
    [id] = make_owed(1)

    for kind, number in numbers_of(id).items():
        answer = looked_up(ani, kind, number)
        assert (answer.status_code, answer.context["registrant"].pk) == (200, id)
        assert "no-store" in answer["Cache-Control"]

    assert deeds() == [("person_looked_up", f"registrant {id}", "ani")] * 4
    told = " ".join(Deed.objects.values_list("told", flat=True))
    assert told.count("Asks why nothing came") == 4
    assert not [number for kind, number in numbers_of(id).items() if kind != "registrant" and number in told]
    assert "Person looked up ani" in text_of(answer)


def test_numbers_may_be_written_as_people_write_them(ani):
    [id] = make_owed(1)
    numbers = numbers_of(id)

    in_fours = " ".join(numbers["card"][at : at + 4] for at in range(0, 16, 4))
    dashed = f"+62 {numbers['phone'][1:4]}-{numbers['phone'][4:]}"

    assert looked_up(ani, "card", in_fours).context["registrant"].pk == id
    assert looked_up(ani, "phone", dashed).context["registrant"].pk == id


# What is typed wrongly


@pytest.mark.parametrize(
    ("kind", "number", "told"),
    [
        ("card", "8020 1234 5678 901x", "A card number has digits only."),
        ("card", "80201234", "A card number has 16 digits; this one has 8."),
        ("card", "8020123456789012", "No card has this number."),
        ("card", "4111111111111111", "No card has this number."),
        ("nik", "siti", "A NIK has digits only."),
        ("nik", "327301", "A NIK has 16 digits; this one has 6."),
        ("phone", "0812-PRAKERJA", "A mobile number has digits only"),
        ("phone", "0215550123", "This is a landline"),
        ("registrant", "seven", "A registrant number has digits only."),
        ("registrant", "-1", "A registrant number has digits only."),
        ("registrant", "", "Type the number."),
        ("email", "siti@surel.example", "Select a valid choice."),
        ("registrant", "7\0", "Null characters are not allowed."),
        ("registrant", "7" * 41, "at most 40 characters"),
    ],
)
def test_what_is_no_such_number_is_told_in_words_and_nobody_is_looked_for(ani, kind, number, told):
    answer = looked_up(ani, kind, number)

    assert answer.status_code == 422
    assert told in text_of(answer)
    assert not Deed.objects.exists()


def test_a_number_that_nobody_has_is_told_and_the_look_up_is_written_down_all_the_same(ani):
    digits = f"{PREFIX}00000000001"
    unknown = {
        "card": f"{digits}{check_digit(digits)}",
        "nik": make_person(7).nik,
        "phone": make_person(7).phone,
        "registrant": "9" * 40,
    }

    for kind, number in unknown.items():
        answer = looked_up(ani, kind, number)
        assert answer.status_code == 422
        assert "Compare it digit by digit." in text_of(answer)

    assert deeds() == [("person_looked_up", "nobody", "ani")] * 4
    assert not Deed.objects.filter(told__regex=r"\d").exists()


def test_a_claim_that_is_not_proven_finds_nobody(ani):
    make_registrant(stage=Stage.EMAIL_VERIFIED, number=5)

    assert looked_up(ani, "nik", make_person(5).nik).status_code == 422
    assert looked_up(ani, "phone", make_person(5).phone).status_code == 422


def test_without_a_reason_nobody_is_shown(ani):
    [id] = make_owed(1)

    assert looked_up(ani, "registrant", id, reason="  ").status_code == 422

    assert not Deed.objects.exists()


def test_a_link_fills_in_a_registrants_number_and_shows_nothing(ani):
    [id] = make_owed(1)

    page = ani.get(f"{PAGE}?registrant={id}").content.decode()

    assert f'value="{id}"' in page
    assert not Deed.objects.exists()
    assert not ani.get(f"{PAGE}?registrant=siti").context["form"]["number"].value()


# Personal data


def personal(id):
    """What of them may stand on no page that masks."""
    person = make_person(FIRST)
    return [person.name, person.nik, person.phone, card(id), person.email, person.kk]


def test_personal_data_are_masked(ani):
    [id] = make_payable(1)

    answer = looked_up(ani, "registrant", id, in_full="1")

    page = answer.content.decode()
    assert not [datum for datum in personal(id) if datum in page]
    text = text_of(answer)
    assert "S*** R*** 1*** Masked" in text
    assert f"NIK {make_person(FIRST).nik[:6]}********" in text
    assert "BNI •••" in text
    assert deeds() == [("person_looked_up", f"registrant {id}", "ani")]


def test_who_may_see_them_in_full_asks_for_it_and_that_is_written_down(client):
    [id] = make_payable(1)
    permit("budi", "look_up_people", "see_personal_data")
    budi = signed_in(client, "budi")

    masked, full = looked_up(budi, "registrant", id), looked_up(budi, "registrant", id, in_full="1")

    person = make_person(FIRST)
    assert person.nik not in text_of(masked)
    assert f"{person.name} NIK {person.nik} Phone {person.phone}" in text_of(full)
    assert deeds() == [
        ("person_looked_up", f"registrant {id}", "budi"),
        ("person_shown", f"registrant {id}", "budi"),
    ]
    assert f"1{id:09}" not in full.content.decode(), "an account's number is nobody's to see"


# What is seen


def seen(id, at):
    return person_pages.seen(id, in_full=False, at=at)


def test_all_that_is_owed_and_paid_adds_up():
    [id] = make_payable(1, numbers=[magic(26)])
    pay()
    check()
    pay()
    results.apply([Result(payout(id, attempt=2).reference, Outcome.REVERSED)], payer="bni", at=LATER + DAY)
    surveys.answer([surveys.Answer(id, 1, LATER + 31 * DAY)])

    told = seen(id, LATER + 31 * DAY)

    lines = [one.line for one in told["owed"]]
    assert told["opened"] == sum(line.rupiah for line in lines) == sum(told["money"].totals.values()) == 2_450_000
    assert told["paid"] + told["unpaid"] == told["opened"]
    assert {attempt.reference: attempt.state.name for _, attempt in told["attempts"]} == {
        payout(id, attempt=1).reference: "FAILED",
        payout(id, attempt=2).reference: "REVERSED",
    }
    assert told["money"].totals == {State.OPEN: 1_850_000, State.REVERSED: 600_000}


def test_the_training_balance_is_bought_less_cancelled_and_left():
    [id] = make_owed(1)
    make_training("TOK-2", price=250_000)
    make_training("TOK-3", price=100_000)
    buy([id], "TOK-2")
    [result] = buy([id], "TOK-3")
    cancel([result.redeem_code])

    found = seen(id, LATER)["spending"]

    assert (found.bought, found.cancelled, found.statement.spent) == (750_000, 100_000, 650_000)
    assert found.bought - found.cancelled + found.statement.balance == found.statement.granted == 1_000_000
    assert sum(line.amount for line in found.statement.transfers) == found.statement.balance
    assert len(found.statement.transfers) == Transfer.objects.count() == 5


def test_each_incentive_tells_who_must_act_when_it_is_due():
    [certified] = make_payable(1)
    [waiting] = make_owed(1, certified=False, first=2000)
    pay()
    surveys.answer([surveys.Answer(certified, 1, LATER + 30 * DAY)])

    def told(id, at):
        return [(one.who.value if one.who else None, one.is_overdue) for one in seen(id, at)["owed"]]

    assert told(waiting, LATER) == [("provider", False)] * 4
    assert told(certified, LATER) == [(None, False)] * 4 + [(None, False)]
    late = LATER + 45 * DAY
    assert told(certified, late) == [(None, False), ("office", False), (None, False), (None, False), ("office", True)]


def test_the_page_tells_money_attempts_surveys_account_and_trainings(ani):
    [id] = make_payable(1)
    pay()
    surveys.answer([surveys.Answer(id, 1, LATER + 30 * DAY)])

    page = text_of(looked_up(ani, "registrant", id))

    assert "Training balance left Rp600,000 Incentives opened Rp2,450,000 Paid Rp600,000 Not paid yet Rp1,850,000" in page
    assert f"{payout(id).reference} Rp600,000 Paid BNI •••" in page
    assert "Overdue" in page
    assert "Over: not answered" in page
    assert "Dasar pemasaran digital" in page
    assert "Granted Rp1,000,000 Spent Rp400,000 Left Rp600,000" in page
    assert Purchase.objects.get(registrant_id=id).redeem_code not in page, "with it, anybody could redeem"


def test_who_was_never_named_has_no_money(ani):
    id = make_registrant(stage=Stage.PHONE_VERIFIED, number=5).pk

    page = text_of(looked_up(ani, "phone", make_person(5).phone))

    assert f"Registrant {id}" in page
    assert "No decree has named this person" in page
