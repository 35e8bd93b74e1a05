"""A wave's window and quota are changed with a trace, and not when it is too late."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User

from registrations.models import Registrant, Wave
from registrations.regions import WIB, Province
from tests.waves.cast import (
    AFTER,
    BEACON,
    CLOSES,
    OPENS,
    at_the_same_time,
    make_applicants,
    make_drawn,
    make_staff,
    make_wave,
    run,
)
from waves import draw as drawing
from waves import planning, programme, screening
from waves.models import Change, Place, Plan, RuleSet
from waves.screening import NotNow
from waves.state import State, of, open_wave

pytestmark = pytest.mark.django_db

NOW = OPENS + timedelta(days=1)


def test_a_raised_quota_leaves_a_trace():
    wave, boss = make_wave(quota=164_000), make_staff("boss")

    planning.change_quota(wave, 200_000, by=boss, reason="Raised by decision", at=NOW)

    assert Wave.objects.get().quota == 200_000
    [trace] = Change.objects.all()
    assert (trace.field, trace.before, trace.after, trace.by, trace.at) == ("quota", "164000", "200000", boss, NOW)


def test_an_extended_window_leaves_a_trace_and_counts_at_once():
    wave, boss = make_wave(), make_staff("boss")
    later = CLOSES + timedelta(days=2)

    planning.extend(wave, later, by=boss, reason="Many could not join in time", at=NOW)

    wave.refresh_from_db()
    assert of(wave, CLOSES + timedelta(hours=1)) is State.OPEN
    assert Change.objects.get().after == later.isoformat(timespec="minutes")


def load_rules():
    """Those that come with the project, and one that is in force with them."""
    programme.load_rule_sets()
    of_2021 = RuleSet.objects.values().get(name="2021-03")
    RuleSet.objects.get_or_create(**of_2021 | {"name": "capped", "in_force_from": NOW.date()})


def plan(**changes):
    load_rules()
    changes.setdefault("by", User.objects.filter(username="boss").first() or make_staff("boss"))
    options = {
        "opens_at": NOW + timedelta(days=1),
        "closes_at": NOW + timedelta(days=4),
        "quota": 500,
        "rule_set": RuleSet.objects.get(name="capped"),
        "reason": "Budget of the second half",
        "at": NOW,
    }
    return planning.plan(**options | changes)


def test_the_next_wave_is_that_of_who_registered_since_and_every_part_of_it_leaves_a_trace():
    make_wave(1)
    Wave.objects.create(number=2)  # made by the first who registered after wave 1 had closed

    rooms = planning.set_apart(50, {Province.PAPUA: 7, Province.JAWA_BARAT: 20})
    wave = plan(opens_at=CLOSES, closes_at=CLOSES + timedelta(days=3), rooms=rooms)

    assert (wave.number, wave.quota, wave.plan.rule_set_id) == (2, 500, "capped")
    assert wave.plan.rooms == [
        {"name": "priority", "seats": 50, "list": "priority"},
        {"name": "Jawa Barat", "seats": 20, "province": 32},
        {"name": "Papua", "seats": 7, "province": 91},
    ]
    assert open_wave(CLOSES + timedelta(hours=1)) == wave
    assert [(trace.field, trace.before) for trace in wave.changes.all()] == [
        ("opens_at", "–"),
        ("closes_at", "–"),
        ("quota", "–"),
        ("rule_set", "–"),
        ("rooms", "–"),
    ]
    assert plan(opens_at=CLOSES + timedelta(days=4), closes_at=CLOSES + timedelta(days=5)).number == 3


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"closes_at": NOW}, "future"),
        ({"opens_at": NOW + timedelta(days=5)}, "after it has opened"),
        ({"quota": 0}, "above 0"),
        ({"rooms": planning.set_apart(501, {})}, "More seats are set apart than there are: 501 of 500"),
        ({"rooms": planning.set_apart(300, {Province.BALI: 201})}, "501 of 500"),
        ({"rooms": planning.set_apart(-1, {})}, "0 or more"),
        ({"reason": " "}, "reason"),
    ],
)
def test_a_wave_that_cannot_be_is_not_planned(changes, says):
    with pytest.raises(NotNow, match=says):
        plan(**changes)

    assert not Wave.objects.exists()
    assert not Change.objects.exists()


def test_there_is_one_wave_at_a_time():
    make_wave(1)

    with pytest.raises(NotNow, match="One wave at a time"):
        plan()


@pytest.mark.parametrize("quota", [0, -1, 2**31])
def test_a_quota_is_a_number_of_seats(quota):
    with pytest.raises(NotNow, match="above 0"):
        planning.change_quota(make_wave(), quota, by=make_staff("boss"), reason="x", at=NOW)


def test_nothing_is_changed_without_a_reason_or_after_the_freeze_or_the_close():
    wave, boss = make_wave(), make_staff("boss")
    with pytest.raises(NotNow, match="reason"):
        planning.change_quota(wave, 5, by=boss, reason=" ", at=NOW)
    with pytest.raises(NotNow, match="closed"):
        planning.extend(wave, AFTER + timedelta(days=9), by=boss, reason="x", at=AFTER)
    with pytest.raises(NotNow, match="future"):
        planning.extend(wave, NOW - timedelta(hours=1), by=boss, reason="x", at=NOW)
    make_wave(2)
    for overlapping in (Wave.objects.get(pk=2).opens_at + timedelta(seconds=1), Wave.objects.get(pk=2).closes_at):
        with pytest.raises(NotNow, match="wave 2 is open then"):
            planning.extend(wave, overlapping, by=boss, reason="x", at=NOW)
    draw = make_drawn(count=2)
    with pytest.raises(NotNow, match="frozen"):
        planning.change_quota(draw.wave, 5, by=boss, reason="x", at=AFTER)
    assert not Change.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_quota_that_is_changed_during_the_freeze_is_refused_after_it():
    wave, boss = make_wave(quota=10), make_staff("boss")
    make_applicants(wave, 3)
    screening.screen(wave, at=AFTER)

    with at_the_same_time(lambda: planning.change_quota(wave, 5, by=boss, reason="x", at=AFTER)) as other:
        drawing.freeze(wave, at=AFTER)

    assert other.waited
    assert isinstance(other.error, NotNow)
    assert Wave.objects.get().quota == 10


def changed(wave, rule_set="2020-04", priority=0, provinces=None, *, reason="By decision", at=NOW):
    load_rules()
    rooms = planning.set_apart(priority, provinces or {})
    planning.change_rules(wave, RuleSet.objects.get(pk=rule_set), rooms, by=User.objects.get(), reason=reason, at=at)


def test_changed_rules_and_seats_set_apart_count_and_leave_a_trace():
    wave, boss = make_wave(quota=10), make_staff("boss")

    changed(wave, "capped", 3, {Province.JAWA_BARAT: 2})

    plan = Plan.objects.get(wave=wave)
    assert (plan.rule_set_id, [room["seats"] for room in plan.rooms]) == ("capped", [3, 2])
    assert list(Change.objects.values_list("field", "before", "after", "by", "at", "reason")) == [
        ("rule_set", "2020-04", "capped", boss.pk, NOW, "By decision"),
        ("rooms", "–", "priority 3, Jawa Barat 2", boss.pk, NOW, "By decision"),
    ]
    changed(wave, "capped", 3)
    assert Change.objects.last().before == "priority 3, Jawa Barat 2"
    assert Change.objects.count() == 3, "what stays as it was leaves none"


def test_seats_set_apart_go_to_the_people_of_the_province_first():
    wave = make_wave(quota=3)
    make_staff("boss")
    changed(wave, provinces={Province.BALI: 2})
    ids = make_applicants(wave, 20)
    Registrant.objects.filter(pk__in=ids[:2]).update(province=Province.BALI)
    screening.screen(wave, at=AFTER)
    draw = drawing.freeze(wave, at=AFTER)
    drawing.commit(draw, chain=BEACON.chain, round=BEACON.chain.first_after(AFTER), at=AFTER)

    run(draw)

    assert set(Place.objects.filter(room=1).values_list("registrant_id", flat=True)) == set(ids[:2])
    assert Place.objects.count() == 3


def test_rules_and_seats_set_apart_are_fixed_from_the_close_on():
    wave = make_wave(quota=10)
    make_staff("boss")
    for says, change in (
        ("already", {}),
        ("reason", {"rule_set": "capped", "reason": " "}),
        ("11 of 10", {"priority": 11}),
        ("2021-03 are not in force", {"rule_set": "2021-03"}),
        ("closed", {"rule_set": "capped", "at": CLOSES}),
    ):
        with pytest.raises(NotNow, match=says):
            changed(wave, **change)
    make_drawn(count=2)
    with pytest.raises(NotNow, match="frozen"):
        changed(wave, "capped")
    assert not Change.objects.exists()
    assert Plan.objects.get().rule_set_id == "2020-04"


def test_a_quota_does_not_fall_below_the_seats_set_apart():
    wave, boss = make_wave(quota=10), make_staff("boss")
    changed(wave, priority=6)

    with pytest.raises(NotNow, match="6 of 5"):
        planning.change_quota(wave, 5, by=boss, reason="x", at=NOW)
    planning.change_quota(wave, 6, by=boss, reason="x", at=NOW)

    assert Wave.objects.get().quota == 6


def test_the_waves_of_2020_come_with_rules_sources_and_the_raised_quota():
    assert programme.load_waves() == list(range(1, 12))
    assert programme.load_waves() == [], "once"

    first = Wave.objects.get(pk=1)
    assert (first.quota, first.plan.rule_set_id) == (200_000, "2020-04")
    assert [(trace.before, trace.after) for trace in first.changes.all()] == [("164000", "200000")]
    assert all(plan.sources for plan in Plan.objects.all())
    assert sum(opening.accepted or 0 for opening in programme.openings().values()) == 3_880_918
    assert RuleSet.objects.count() == 2


#: What was published: opening and close (WIB), seats when planned and in the end, how many joined, and the day of the result.
OF_2020 = {
    1: ("2020-04-11T00:00", "2020-04-16T16:00", 164_000, 200_000, 2_000_000, "2020-04-21"),
    2: ("2020-04-20T08:00", "2020-04-23T16:00", 288_154, 288_154, None, "2020-04-29"),
    3: ("2020-04-27T00:00", "2020-05-01T00:00", 224_653, 224_653, None, None),
    4: ("2020-08-07T00:00", "2020-08-13T00:00", 800_000, 800_000, 1_200_000, "2020-08-16"),
    5: ("2020-08-15T12:00", "2020-08-20T00:00", 800_000, 800_000, 1_770_000, "2020-08-28"),
    6: ("2020-08-27T00:00", "2020-08-31T12:00", 800_000, 800_000, 1_760_000, "2020-09-03"),
    7: ("2020-09-03T12:00", "2020-09-08T00:00", 800_000, 800_000, 2_800_000, "2020-09-10"),
    8: ("2020-09-10T12:00", "2020-09-15T00:00", 800_000, 800_000, 4_000_000, "2020-09-17"),
    9: ("2020-09-17T12:00", "2020-09-22T00:00", 800_000, 800_000, 5_900_000, "2020-09-23"),
    10: ("2020-09-26T00:00", "2020-09-28T12:00", 116_261, 116_261, 6_700_000, "2020-10-02"),
    11: ("2020-11-02T12:00", "2020-11-05T00:00", 400_000, 400_000, 6_000_000, "2020-11-10"),
}


@pytest.mark.parametrize("number", OF_2020)
def test_windows_and_quotas_of_2020_are_those_that_were_published(number):
    opening = programme.openings()[number]
    window = [f"{instant.astimezone(WIB):%Y-%m-%dT%H:%M}" for instant in (opening.opens_at, opening.closes_at)]

    announced = opening.announced and opening.announced.isoformat()
    assert (*window, opening.quota, opening.seats, opening.joined, announced) == OF_2020[number]
    assert opening.sources


def test_a_wave_opens_and_closes_by_itself():
    wave = make_wave()

    assert [of(wave, at) for at in (OPENS - timedelta(seconds=1), OPENS, CLOSES - timedelta(seconds=1), CLOSES)] == [
        State.PLANNED,
        State.OPEN,
        State.OPEN,
        State.CLOSED,
    ]
    assert (open_wave(OPENS), open_wave(CLOSES)) == (wave, None)
