"""Terms are dated: who completes a first training once new ones are in force goes by them in all that follows, and nobody else does."""

from dataclasses import replace
from datetime import datetime, time, timedelta

import pytest

from incentives import obligations, statement, surveys
from incentives.models import Obligation
from incentives.surveys import Answer, Outcome
from incentives.terms import TERMS
from registrations.regions import WIB
from tests.incentives.cast import DAY, LATER, check, link, pay
from tests.trainings.cast import COMPLETES, by_code, complete, make_buyers, redeem, review

pytestmark = pytest.mark.django_db

IN_FORCE = datetime.combine((COMPLETES + 3 * DAY).astimezone(WIB), time(), WIB)
ROWS = (
    *TERMS,
    replace(
        TERMS[0],
        since=IN_FORCE.date(),
        months=2,
        monthly=700_000,
        surveys=2,
        survey=80_000,
        survey_opens_after=10 * DAY,
        survey_open_for=5 * DAY,
        survey_paid_within=3 * DAY,
        sources="made up",
    ),
)


@pytest.fixture
def early_and_late():
    """Who has completed a first training in the last moment of the old terms, and who in the first one of the new ones."""
    codes = make_buyers(2)
    redeem(codes)
    complete(codes[:1], at=IN_FORCE - timedelta(microseconds=1), certified=True)
    complete(codes[1:], at=IN_FORCE, certified=True)
    ids = [by_code(code).registrant_id for code in codes]
    review(ids)
    while obligations.open_batch(size=100, clock=lambda: LATER, rows=ROWS):
        pass
    return ids


@pytest.fixture
def paid(early_and_late):
    """The same two, who have had their first incentive on the same day."""
    link(early_and_late)
    check()
    pay()
    return early_and_late


def owed(id):
    return [(one.item, one.amount, one.due_at) for one in Obligation.objects.of([id]).order_by("pk")]


def test_months_and_amounts_are_those_of_the_day_of_completion(early_and_late):
    early, late = early_and_late

    assert [(item, amount) for item, amount, _ in owed(early)] == [(month, 600_000) for month in (1, 2, 3, 4)]
    assert owed(late) == [(1, 700_000, IN_FORCE), (2, 700_000, IN_FORCE.replace(month=IN_FORCE.month + 1))]


def test_what_was_opened_by_old_terms_stays_when_new_ones_are_written(early_and_late):
    early, _ = early_and_late
    before = owed(early)
    newer = (*ROWS[:1], replace(ROWS[1], since=TERMS[0].since + DAY))

    assert obligations.open_for({early: COMPLETES}, at=LATER, rows=newer) == set()
    assert owed(early) == before


def test_surveys_open_close_and_bring_what_the_terms_of_the_day_of_completion_say(paid):
    early, late = paid

    outcomes = surveys.answer(
        [
            Answer(early, 1, LATER + 12 * DAY),
            Answer(late, 1, LATER + 12 * DAY),
            Answer(early, 1, LATER + 30 * DAY),
            Answer(late, 2, LATER + 30 * DAY),
            Answer(early, 3, LATER + 90 * DAY),
            Answer(late, 3, LATER + 30 * DAY),
        ],
        rows=ROWS,
    )

    S = Outcome
    assert outcomes == [S.NOT_YET, S.OPENED, S.OPENED, S.CLOSED, S.OPENED, S.UNKNOWN_SURVEY]
    assert [(item, amount) for item, amount, _ in owed(early)[4:]] == [(5, 50_000), (7, 50_000)]
    assert [(item, amount) for item, amount, _ in owed(late)[2:]] == [(5, 80_000)]


def test_a_statement_tells_windows_and_days_to_pay_of_the_same_terms(paid):
    surveys.answer([Answer(paid[0], 1, LATER + 30 * DAY), Answer(paid[1], 1, LATER + 10 * DAY)], rows=ROWS)

    early, late = (statement.of(id, rows=ROWS) for id in paid)

    assert [(window.opens_at, window.closes_at) for window in early.surveys] == [
        (LATER + days * DAY, LATER + (days + 30) * DAY) for days in (30, 60, 90)
    ]
    assert [(window.opens_at, window.closes_at) for window in late.surveys] == [
        (LATER + days * DAY, LATER + (days + 5) * DAY) for days in (10, 20)
    ]
    assert [line.pay_by for line in (early.lines[-1], late.lines[-1])] == [LATER + 44 * DAY, LATER + 13 * DAY]


@pytest.mark.parametrize("changes", [{"months": 5}, {"surveys": 12}])
def test_terms_whose_months_and_surveys_would_meet_are_refused(changes):
    with pytest.raises(ValueError, match="in each other's way"):
        replace(TERMS[0], **changes)
