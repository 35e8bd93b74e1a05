"""How far the surveys are with all who can answer them, at any instant: answered, paid, overdue with who must act, and missed."""

from dataclasses import replace
from datetime import timedelta

import pytest

from incentives import batching, figures, results, statement, surveys
from incentives.figures import Wait
from incentives.gates import Actor, Gate
from incentives.ledger import Sum
from incentives.models import Leftover, Obligation, State, StatementFile, number
from incentives.payout import Outcome
from incentives.results import Result
from incentives.surveys import Answer
from incentives.terms import FIRST_SURVEY, TERMS
from registrations.models import Registrant
from registrations.regions import WIB
from tests.incentives.cast import (
    DAY,
    LATER,
    PAYER,
    Bank,
    check,
    clerk,
    grown_old,
    make_owed,
    make_payable,
    owed,
    pay,
    payout,
    send,
)

pytestmark = pytest.mark.django_db

#: In the first instant of the first survey of who was paid at `LATER`.
ANSWERS = LATER + 30 * DAY
#: Until then it is paid in time.
PAID_BY = ANSWERS + 14 * DAY
#: Survey 1 closes.
CLOSES = LATER + 60 * DAY
MOMENT = timedelta(microseconds=1)
ONE, NONE = Sum(1, 50_000), Sum(0, 0)
SHORT = {"survey_open_for": 5 * DAY, "survey_paid_within": 3 * DAY}


def make_answered(count=1, **options):
    """So many who were paid at `LATER` and have answered the first survey as soon as they could."""
    ids = make_payable(count, **options)
    pay()
    assert set(surveys.answer([Answer(id, 1, ANSWERS) for id in ids])) == {surveys.Outcome.OPENED}
    return ids


def first(at):
    return figures.surveys(at=at)[0]


def overdue(at):
    return [one.pk for one in figures.overdue_surveys(at=at)]


def test_an_answer_is_overdue_when_its_fourteen_days_are_over_and_no_longer_when_it_is_paid():
    [id] = make_answered()

    assert (first(PAID_BY).in_time, first(PAID_BY).overdue, overdue(PAID_BY)) == (ONE, NONE, [])
    late = PAID_BY + MOMENT
    assert (first(late).in_time, first(late).overdue, overdue(late)) == (NONE, ONE, [number(id, FIRST_SURVEY)])
    assert [line.is_overdue(late) for line in statement.of(id).lines] == [False] * 4 + [True]
    pay(at=late)
    assert (first(late).paid, first(late).overdue, overdue(late)) == (ONE, NONE, [])
    assert not any(line.is_overdue(late) for line in statement.of(id).lines)


def test_what_a_gate_holds_up_is_blocked_and_not_overdue():
    [id] = make_answered()
    Obligation.objects.of([id]).exclude(state=4).update(gate=Gate.ACCOUNT_FULL)
    late = PAID_BY + MOMENT

    assert (first(late).blocked, first(late).overdue, overdue(late)) == (ONE, NONE, [])
    assert figures.waits([number(id, FIRST_SURVEY)], at=late) == {}


def test_a_survey_is_missed_by_who_could_answer_it_and_has_not_when_its_window_closes():
    make_answered()
    make_payable(2, first=2000)
    pay()
    make_owed(1, first=3000)

    assert first(CLOSES - MOMENT).missed == 0
    assert [line.missed for line in figures.surveys(at=CLOSES)] == [2, 0, 0]
    assert [line.missed for line in figures.surveys(at=CLOSES + 30 * DAY)] == [2, 3, 0]


def test_all_that_was_answered_is_in_one_place():
    _, blocked, late = make_answered(3)
    pay(at=PAID_BY - DAY)
    surveys.answer([Answer(id, 2, LATER + 60 * DAY) for id in (blocked, late)])
    Obligation.objects.filter(pk=number(blocked, FIRST_SURVEY + 1)).update(gate=Gate.ACCOUNT_FULL)

    one, two, three = figures.surveys(at=LATER + 80 * DAY)

    assert (one.answered, one.paid) == (Sum(3, 150_000), Sum(3, 150_000))
    assert (two.answered, two.blocked, two.overdue) == (Sum(2, 100_000), ONE, ONE)
    assert three.answered == NONE


def test_each_overdue_answer_has_somebody_who_must_act():
    ids = make_answered(6)
    late = PAID_BY + DAY
    free, left_over, proposed, approved, pending, unknown = ids
    bank = Bank()

    def batch(id):
        return batching.propose(PAYER, by=clerk("maker"), at=late, of=[id])

    for id, answer in ((pending, Outcome.PENDING), (unknown, Outcome.UNKNOWN)):
        made = batch(id)
        batching.approve(made, by=clerk("checker"), sha256=bytes(made.sha256).hex(), at=late)
        bank.answer_next = [answer] * 9
        send(bank, at=late)
    batch(proposed)
    made = batch(approved)
    batching.approve(made, by=clerk("checker"), sha256=bytes(made.sha256).hex(), at=late)
    file = StatementFile.objects.create(
        payer=PAYER, day=LATER.date(), sha256=b"", file="bni.csv", lines=0, rupiah=0, taken_at=LATER
    )
    item = number(left_over, FIRST_SURVEY)
    Leftover.objects.create(file=file, kind=Leftover.Kind.TWICE, obligation_id=item, attempt=1, rupiah=1)

    wanted = {
        left_over: (Wait.SETTLING, Actor.OFFICE),
        free: (Wait.BATCH, Actor.OFFICE),
        proposed: (Wait.APPROVAL, Actor.OFFICE),
        approved: (Wait.SENDING, Actor.OFFICE),
        pending: (Wait.PAYER, Actor.PAYER),
        unknown: (Wait.ANSWER, Actor.PAYER),
    }
    found = figures.waits(overdue(late), at=late)
    assert {id // 16: (wait, wait.who) for id, wait in found.items()} == wanted
    assert {(line.wait, line.people, line.rupiah) for line in figures.overdue(at=late)} == {
        (wait, 1, 50_000) for wait, _ in wanted.values()
    }


def test_an_account_of_which_nothing_was_said_for_long_makes_the_payer_act():
    make_answered()

    [line] = figures.overdue(at=grown_old() + DAY)

    assert (line.wait, line.wait.who) == (Wait.CHECK, Actor.PAYER)


def test_a_survey_that_was_paid_and_given_back_is_overdue_again():
    [id] = make_answered()
    pay(at=PAID_BY)
    assert overdue(PAID_BY + DAY) == []

    results.apply([Result(payout(id, FIRST_SURVEY).reference, Outcome.REVERSED)], payer=PAYER, at=PAID_BY + DAY)

    assert overdue(PAID_BY + DAY) == [number(id, FIRST_SURVEY)]


def test_a_first_incentive_that_was_given_back_and_paid_again_moves_no_survey():
    [id] = make_payable()
    pay()
    results.apply([Result(payout(id).reference, Outcome.REVERSED)], payer=PAYER, at=LATER + DAY)

    too_soon, in_time = [surveys.answer([Answer(id, 1, at)]) for at in (ANSWERS - MOMENT, ANSWERS)]
    check(at=LATER + 29 * DAY)
    pay(at=LATER + 29 * DAY)
    second = surveys.answer([Answer(id, 2, LATER + 60 * DAY)])

    assert (too_soon, in_time, second) == ([surveys.Outcome.NOT_YET], [surveys.Outcome.OPENED], [surveys.Outcome.OPENED])
    assert payout(id, attempt=2).state == State.PAID
    assert owed(id, FIRST_SURVEY).state == State.OPEN


def test_the_terms_of_the_day_of_completion_say_what_is_overdue_and_missed():
    """Of two paid on one day, one goes by terms in which a survey opens after 10 days, for 5, and is paid within 3."""
    [old], [new] = make_payable(1), make_payable(1, first=2000)
    pay()
    moved = Registrant.objects.get(pk=new).training_completed_at + DAY
    Registrant.objects.filter(pk=new).update(training_completed_at=moved, incentive_received_at=LATER)
    rows = (*TERMS, replace(TERMS[0], since=moved.astimezone(WIB).date(), survey_opens_after=10 * DAY, **SHORT))

    missed = [figures.surveys(at=LATER + days * DAY, rows=rows)[0].missed for days in (14, 15, 59, 60)]
    surveys.answer([Answer(old, 1, ANSWERS), Answer(new, 2, LATER + 20 * DAY)], rows=rows)

    assert missed == [0, 1, 1, 2]
    at = [LATER + 23 * DAY, LATER + 23 * DAY + MOMENT, PAID_BY, PAID_BY + MOMENT]
    late = [[one.registrant_id for one in figures.overdue_surveys(at=now, rows=rows)] for now in at]
    assert late == [[], [new], [new], [new, old]]
