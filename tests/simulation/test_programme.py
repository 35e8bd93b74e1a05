"""How many people get how far: the published figures, at any scale."""

from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prakerja.simulation.programme import (
    END,
    OPENINGS,
    WAVES,
    Fate,
    Snapshot,
    WavePlan,
    half_up,
    largest_remainder,
    plan,
    plan_registrants,
)
from registrations.regions import WIB

PUBLISHED = (23_171_233, 18_000_000, 13_400_000, 11_990_000)


def totals(plans: list[WavePlan]) -> tuple[int, int, int, int]:
    return (
        sum(each.registered for each in plans),
        sum(each.email_verified for each in plans),
        sum(each.identity_verified for each in plans),
        sum(each.phone_verified for each in plans),
    )


def assert_sound(plans: list[WavePlan]) -> None:
    """What holds at any scale."""
    for each in plans:
        assert each.registered >= each.email_verified >= each.identity_verified >= each.phone_verified >= 0
        assert min(each.fates.values()) >= 0
        assert set(each.fates) == set(Fate)
        assert sum(each.fates.values()) == each.registered
        for reached, stage in ((each.email_verified, 2), (each.identity_verified, 3), (each.phone_verified, 4)):
            assert sum(count for fate, count in each.fates.items() if fate.stage >= stage) == reached
        # Everybody who registers twice has somebody of their own to be.
        assert each.fates[Fate.NIK_TAKEN] <= each.fates[Fate.VERIFIED]
        assert (each.by_close is not None) == (each.number == 1)
        if each.by_close:
            email, identity, phone = each.by_close
            assert email >= identity >= phone >= 0
            assert email <= each.email_verified
            assert identity <= each.identity_verified
            assert phone <= each.phone_verified
            assert each.fates[Fate.NIK_TAKEN] <= email - identity <= each.email_verified - each.identity_verified


def test_at_full_scale_the_figures_are_the_published_ones():
    plans = plan("1")

    assert_sound(plans)
    assert totals(plans) == PUBLISHED
    assert [each.registered for each in plans] == [
        *(5_965_048, 2_634_952, 1_800_000),
        *(2_100_000, 2_400_000, 2_300_000, 2_800_000),
        3_171_233,
    ]
    assert plans[0].by_close == Snapshot(4_428_000, 3_290_000, 2_078_026)
    assert [each.quota for each in plans] == [164_000, 288_154, 224_653, *(800_000,) * 5]


def test_at_full_scale_people_are_lost_for_the_reasons_assumed():
    plans = plan("1")

    lost = {fate: sum(each.fates[fate] for each in plans) for fate in Fate}

    assert lost == {
        Fate.MAIL_NEVER_OPENED: 4_200_000,
        Fate.MAILBOX_FULL: 350_000,
        Fate.ADDRESS_UNKNOWN: 621_233,
        Fate.NIK_UNKNOWN: 2_000_000,
        Fate.KK_MISMATCH: 1_100_000,
        Fate.BIRTH_DATE_MISMATCH: 900_000,
        Fate.NIK_TAKEN: 600_000,
        Fate.CODE_NEVER_TYPED: 850_000,
        Fate.NUMBER_DEAD: 430_000,
        Fate.ATTEMPTS_USED_UP: 130_000,
        Fate.VERIFIED: 11_990_000,
    }


@pytest.mark.parametrize("scale", ["0.001", Decimal("0.0001"), Fraction(1, 3), "1/7", "0.0215", 0, 1])
def test_at_any_scale_the_totals_are_the_published_ones_rounded_half_up(scale):
    plans = plan(scale)

    assert_sound(plans)
    assert totals(plans) == tuple(half_up(figure * Fraction(scale)) for figure in PUBLISHED)
    cumulative = [sum(each.registered for each in plans[:count]) for count in (1, 2, 3)]
    assert cumulative == [half_up(figure * Fraction(scale)) for figure in (5_965_048, 8_600_000, 10_400_000)]
    assert plans[7].registered == half_up(3_171_233 * Fraction(scale))


def test_half_a_person_is_rounded_up():
    assert totals(plan(Fraction(1, 36_000_000)))[1] == 1  # Python's round() would say 0
    assert half_up(Fraction(5, 2)) == 3


@pytest.mark.parametrize("people", [0, 1, 2, 7, 100, 12_345, 23_171_233])
def test_so_many_registrants_are_so_many(people):
    plans = plan_registrants(people)

    assert_sound(plans)
    assert totals(plans)[0] == people


@given(st.integers(0, 50_000))
def test_a_handful_of_people_keeps_the_ladder(people):
    assert_sound(plan_registrants(people))


@given(st.fractions(0, 2))
def test_any_scale_keeps_the_ladder(scale):
    plans = plan(scale)

    assert_sound(plans)
    assert totals(plans) == tuple(half_up(figure * scale) for figure in PUBLISHED)


def test_some_waves_are_planned_as_they_are_among_all():
    assert plan("0.01", waves=[2, 5]) == [plan("0.01")[1], plan("0.01")[4]]


def test_a_scale_below_nothing_is_refused():
    with pytest.raises(ValueError, match="negative"):
        plan("-1")


@given(st.integers(0, 1000), st.lists(st.integers(0, 1000), min_size=1, max_size=8))
def test_shares_add_up_and_exceed_no_weight(total, weights):
    if total > sum(weights):
        return
    parts = largest_remainder(total, weights)

    assert sum(parts) == total
    assert all(part <= weight for part, weight in zip(parts, weights, strict=True))


def test_people_register_in_the_wave_that_is_the_first_to_close_afterwards():
    for number in WAVES:
        opening = OPENINGS[number]
        assert opening.registers_from < opening.registers_until <= opening.closes_at
        assert opening.opens_at < opening.closes_at
        if number > 1:
            assert opening.registers_from >= OPENINGS[number - 1].closes_at
    assert OPENINGS[8].closes_at < END


def test_waves_close_when_they_did():
    assert OPENINGS[1].closes_at == datetime(2020, 4, 16, 16, tzinfo=WIB)
    assert OPENINGS[3].closes_at == datetime(2020, 5, 1, tzinfo=WIB)
    assert OPENINGS[4].closes_at == datetime(2020, 8, 13, tzinfo=WIB)
    assert OPENINGS[6].closes_at == datetime(2020, 8, 31, 12, tzinfo=WIB)
    assert datetime(2020, 9, 15, 18, 35, tzinfo=WIB) == END
    assert END.utcoffset() == timedelta(hours=7)


def test_those_accepted_are_the_published_ones():
    assert sum(opening.accepted or 0 for opening in OPENINGS.values()) == 3_880_918
