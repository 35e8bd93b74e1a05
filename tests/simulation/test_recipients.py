"""What becomes of recipients: how many, wave by wave, at any scale; and when they do what."""

from collections import Counter
from datetime import datetime, timedelta
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prakerja.simulation import recipients
from prakerja.simulation.programme import END, REGISTERED, WAVES, half_up, wib, within
from prakerja.simulation.recipients import (
    EARLY,
    ERAS,
    PAYDAYS,
    TOLD,
    UNFINISHED,
    UNPAID,
    Course,
    RecipientPlan,
    Recipients,
    Share,
    deadline,
    plan,
)
from registrations.regions import WIB
from registrations.stages import DropOff, Stage

PUBLISHED = (3_880_918, 3_200_000, 2_000_000, 1_200_000)
BY_MAY = (530_000, 350_000, 300_000)
SCALE = Fraction(1, 100)


@pytest.fixture(scope="module")
def people() -> Recipients:
    return Recipients(2020, plan(SCALE))


@pytest.fixture(scope="module")
def lives(people):
    return people.lives(range(people.size))


def totals(plans: list[RecipientPlan]) -> tuple[int, ...]:
    return tuple(sum(getattr(each, rung) for each in plans) for rung in ("selected", "bought", "completed", "received"))


def assert_sound(plans: list[RecipientPlan]) -> None:
    """What holds at any scale."""
    for each in plans:
        assert each.selected >= each.bought >= each.completed >= each.received >= 0
        assert each.bought >= each.by_may.bought >= each.by_may.completed >= each.by_may.received >= 0
        assert each.by_may.completed <= each.received, "who has completed by then is paid in the end"
        assert min(each.courses.values()) >= 0
        assert set(each.courses) == set(Course)
        assert sum(each.courses.values()) == each.selected
        for reached, stage in (
            (each.bought, Stage.TRAINING_BOUGHT),
            (each.completed, Stage.TRAINING_COMPLETED),
            (each.received, Stage.INCENTIVE_RECEIVED),
        ):
            assert sum(count for course, count in each.courses.items() if course.stage >= stage) == reached
        assert sum(segment.people for segment in recipients.segments(each)) == each.selected


def test_at_full_scale_the_figures_are_the_published_ones():
    plans = plan(1)

    assert_sound(plans)
    assert totals(plans) == PUBLISHED
    assert [each.wave for each in plans] == list(range(1, 8))
    assert tuple(sum(each.by_may[rung] for each in plans) for rung in range(3)) == BY_MAY
    assert all(each.by_may == (0, 0, 0) for each in plans if each.wave not in EARLY)
    assert {each.wave: Share(each.bought, each.completed, each.received) for each in plans} == recipients.SHARES


def test_of_the_189_436_revoked_of_four_waves_those_of_the_first_three_are_revoked():
    plans = plan(1)

    assert 189_436 * 680_918 // 1_480_918 == 87_101
    assert sum(each.revoked for each in plans) == 87_101
    assert [each.revoked for each in plans] == [21_504, 36_860, 28_737, 0, 0, 0, 0]
    # And of waves 4 and 5, no more are missing in the end than were told to be revoked later.
    assert plans[3].bought <= 800_000 - (189_436 - 87_101)
    assert plans[4].bought <= 800_000 - 47_818


def test_at_full_scale_people_are_unpaid_for_the_reasons_assumed():
    plans = plan(1)

    assert sum(UNPAID.values()) == 800_000
    assert UNPAID[Course.ACCOUNT_OF_ANOTHER] == 34_000
    for course, people in (UNPAID | UNFINISHED).items():
        assert sum(each.courses[course] for each in plans) == people
    assert {course.drop_off for course in UNPAID} == {DropOff.NONE, *DropOff.of(Stage.TRAINING_COMPLETED)}


@pytest.mark.parametrize("scale", ["0.001", "0.0001", Fraction(1, 3), "1/7", "0.0215", 0, 1])
def test_at_any_scale_the_totals_are_the_published_ones_rounded_half_up(scale):
    plans = plan(scale)

    assert_sound(plans)
    assert totals(plans) == tuple(half_up(figure * Fraction(scale)) for figure in PUBLISHED)
    if Fraction(scale) >= Fraction(1, 1000):
        assert tuple(sum(each.by_may[rung] for each in plans) for rung in range(3)) == tuple(
            half_up(figure * Fraction(scale)) for figure in BY_MAY
        )
        assert sum(each.revoked for each in plans) == half_up(87_101 * Fraction(scale))


@given(st.integers(0, 50_000))
def test_a_handful_of_people_keeps_the_ladder(people):
    plans = plan(Fraction(people, REGISTERED))

    assert_sound(plans)
    assert totals(plans) == tuple(half_up(Fraction(figure * people, REGISTERED)) for figure in PUBLISHED)


@given(st.fractions(0, 1))
def test_any_scale_keeps_the_ladder(scale):
    assert_sound(plan(scale))


def test_some_waves_are_planned_as_they_are_among_all():
    assert plan("0.01", [2, 5, 8]) == [plan("0.01")[1], plan("0.01")[4]]


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), min_size=1, max_size=8), st.data())
def test_what_is_shared_within_bounds_adds_up_and_exceeds_none(bounds, data):
    weights, most = [weight for weight, _ in bounds], [limit for _, limit in bounds]
    total = data.draw(st.integers(0, sum(most)))

    parts = within(total, weights, most)

    assert sum(parts) == total
    assert all(0 <= part <= limit for part, limit in zip(parts, most, strict=True))


def test_more_than_all_can_take_is_refused():
    with pytest.raises(ValueError, match="more than all"):
        within(3, [1, 1], [1, 1])


def test_everybody_does_one_thing_after_the_other_and_nobody_after_the_briefing(people, lives):
    waves = [plan.wave for plan in people.plans for _ in range(plan.selected)]
    for wave, life in zip(waves, lives, strict=True):
        acts = [at for at in (life.bought_at, life.redeemed_at, life.completed_at, life.reviewed_at, life.linked_at) if at]
        assert acts == sorted(acts)
        assert all(TOLD[wave] <= at < END for at in acts)
        assert (life.bought_at is None) == (life.course is Course.NOTHING_BOUGHT)
        assert (life.completed_at is not None) == (life.course.stage >= Stage.TRAINING_COMPLETED)
        assert (life.cancelled_at is not None) == (life.course is Course.CANCELLED)
        if life.completed_at:
            assert life.redeemed_at
        if life.bought_at and wave in EARLY:
            assert life.bought_at < deadline(wave)
        if life.cancelled_at:
            assert life.bought_at <= life.cancelled_at < END


def test_each_course_is_gone_by_as_many_as_planned(people, lives):
    first = 0
    for each, start in people.firsts():
        assert start == first
        assert Counter(life.course for life in lives[first : first + each.selected]) == Counter(each.courses)
        first += each.selected
    assert [life.number for life in lives] == list(range(people.size))


def test_on_19_may_as_many_have_bought_and_completed_as_were_published(lives):
    midnight = datetime(2020, 5, 20, tzinfo=WIB)

    bought = sum(1 for life in lives if life.bought_at and life.bought_at < midnight)
    completed = sum(1 for life in lives if life.completed_at and life.completed_at < midnight)
    payable = sum(1 for life in lives if life.linked_at and life.linked_at < PAYDAYS[1])

    assert (bought, completed, payable) == tuple(half_up(figure * SCALE) for figure in BY_MAY)
    assert PAYDAYS[1] < midnight < PAYDAYS[2]


def test_who_is_paid_can_be_by_the_last_payday_and_who_is_under_way_only_later(people, lives):
    eras = people.eras(np.arange(people.size)).tolist()

    last = len(PAYDAYS) - 1
    for era, life in zip(eras, lives, strict=True):
        if life.course is Course.RECEIVED:
            assert era <= last
        elif life.course is Course.UNDER_WAY:
            assert era == last + 1
        assert (era < 0) == (life.course is Course.NOTHING_BOUGHT)
        assert era < len(ERAS)
    assert ERAS[last] == PAYDAYS[last] == wib(9, 11, 10)


def test_what_is_paid_by_the_briefing_comes_to_about_1_6_trillion(people, lives):
    def months(life):
        done = life.completed_at.astimezone(WIB)
        dues = [done.replace(month=done.month + month, day=min(done.day, 30)) for month in range(4)]
        return sum(due <= PAYDAYS[-1] for due in dues)

    paid = sum(months(life) for life in lives if life.course is Course.RECEIVED)

    assert paid * 600_000 / SCALE == pytest.approx(1.6e12, rel=0.02)


def test_one_in_ninety_goes_by_the_api(people):
    assert people.size / 100 <= people.by_api(np.arange(people.size)).sum() <= people.size / 89


def test_the_same_seed_lives_the_same_life_and_another_one_another(people, lives):
    again, other = Recipients(2020, plan(SCALE)), Recipients(2021, plan(SCALE))

    assert again.lives([0, 17, 4711]) == [lives[0], lives[17], lives[4711]]
    assert other.lives(range(100)) != lives[:100]


def test_nobody_has_a_number_that_is_too_high(people):
    with pytest.raises(IndexError):
        people.lives([people.size])


def test_waves_are_told_after_they_have_closed_and_thirty_days_are_thirty():
    for wave, told in TOLD.items():
        assert wave in WAVES
        assert told < END
    assert deadline(1) == datetime(2020, 5, 22, tzinfo=WIB)
    assert deadline(4) > END, "wave 4's time is not over at the briefing"
    assert deadline(3) - TOLD[3] >= timedelta(days=30)
