"""Joining a wave and leaving it."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from registrations import ladder
from registrations.models import Wave
from registrations.stages import DropOff, Stage
from tests.people import START, make_registrants
from tests.waves.cast import (
    AFTER,
    CLOSES,
    OPENS,
    at_the_same_time,
    make_applicants,
    make_drawn,
    make_staff,
    make_wave,
    put_the_databases_clock_on,
    registrant,
)
from tests.waves.test_pages import signed_in
from waves import acts, tasks
from waves.joining import Outcome, join, leave
from waves.models import Application, Draw, Place
from waves.state import State

pytestmark = pytest.mark.django_db


@pytest.fixture
def open_wave():
    now = timezone.now()
    make_wave()
    Wave.objects.filter(number=1).update(opens_at=now - timedelta(days=1), closes_at=now + timedelta(days=1))
    return Wave.objects.get()


def test_a_verified_registrant_joins_the_open_wave_with_one_click(open_wave):
    [id] = make_registrants(1, stage=Stage.PHONE_VERIFIED)

    assert join(1, [id]) == [Outcome.JOINED]
    assert join(1, [id]) == [Outcome.ALREADY], "a second click"

    [application] = Application.objects.all()
    assert abs(application.joined_at - timezone.now()) < timedelta(seconds=30)


def test_thousands_join_at_once_and_each_is_told_what_came_of_it(open_wave):
    ready = make_registrants(3, stage=Stage.PHONE_VERIFIED)
    below = make_registrants(2, stage=Stage.IDENTITY_VERIFIED, first=10)
    join(1, ready[:1])

    outcomes = join(1, [*below, *ready, 999_999])

    assert outcomes == [
        Outcome.NOT_READY,
        Outcome.NOT_READY,
        Outcome.ALREADY,
        Outcome.JOINED,
        Outcome.JOINED,
        Outcome.NOT_READY,
    ]


@pytest.mark.parametrize(
    ("at", "outcome"),
    [
        (OPENS - timedelta(microseconds=1), Outcome.NOT_OPEN),
        (OPENS, Outcome.JOINED),
        (CLOSES - timedelta(microseconds=1), Outcome.JOINED),
        (CLOSES, Outcome.NOT_OPEN),
    ],
)
def test_a_wave_is_joined_from_its_opening_until_just_before_its_close(at, outcome):
    make_wave()
    [id] = make_registrants(1, stage=Stage.PHONE_VERIFIED)

    assert join(1, [id], at=[at]) == [outcome]


def test_the_databases_clock_decides_when_a_wave_is_closed():
    make_wave()
    [id] = make_registrants(1, stage=Stage.PHONE_VERIFIED)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE registrations_wave SET closes_at = statement_timestamp()")

    assert join(1, [id]) == [Outcome.NOT_OPEN]


@pytest.mark.parametrize(
    ("ahead", "closes_in", "is_open"),
    [(10, 5, False), (-10, -5, True)],
    ids=["already over by the database's clock", "not over yet by the database's clock"],
)
def test_the_databases_clock_decides_also_where_the_applications_is_ten_minutes_off(client, ahead, closes_in, is_open):
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "en"
    wave, now = make_wave(), timezone.now()
    wave.opens_at, wave.closes_at = now - timedelta(days=1), now + timedelta(minutes=closes_in)
    wave.save()
    joins, leaves = make_registrants(2, stage=Stage.PHONE_VERIFIED)
    join(1, [leaves], at=[wave.opens_at])
    act = acts.ask(wave, acts.Name.SCREEN, by=make_staff("ani"))
    put_the_databases_clock_on(timedelta(minutes=ahead))

    tasks.carry_out()
    signed_in(client, joins)
    offered = "Join wave 1" in client.get("/status/").content.decode()
    client.post("/status/gabung/")
    signed_in(client, leaves)
    may_leave = "Leave this wave" in client.get("/status/").content.decode()
    left = leave(1, leaves)

    assert (offered, may_leave, left) == (is_open, is_open, is_open)
    assert list(Application.objects.values_list("registrant_id", flat=True)) == ([joins] if is_open else [leaves])
    assert client.get("/undian/1/").context["state"] == (State.OPEN if is_open else State.CLOSED)
    act.refresh_from_db()
    assert (act.refused, act.done_at is None) == (("Wave 1 is not closed yet.", True) if is_open else ("", False))


def test_a_wave_that_nobody_knows_or_that_has_no_dates_cannot_be_joined():
    [id] = make_registrants(1, stage=Stage.PHONE_VERIFIED)
    Wave.objects.create(number=2)

    assert join(2, [id]) == [Outcome.NOT_OPEN]
    assert join(77, [id]) == [Outcome.NOT_OPEN]


def test_nobody_is_in_two_waves_at_once():
    first, second = make_wave(1), make_wave(2)
    Wave.objects.filter(number=2).update(opens_at=first.opens_at)
    [id] = make_applicants(first, 1)

    assert join(second.number, [id], at=[CLOSES - timedelta(minutes=1)]) == [Outcome.ELSEWHERE]


def test_who_waits_for_one_wave_is_told_on_the_page_that_they_cannot_join_another(client, open_wave):
    first = make_wave(2)
    [id] = make_applicants(first, 1)
    session = client.session
    session["registrant"] = id
    session.save()
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "en"

    answer = client.post("/status/gabung/")

    assert answer.status_code == 409
    assert "You have joined another wave, whose result is not known yet." in answer.content.decode()
    assert list(Application.objects.values_list("registrant_id", "wave")) == [(id, 2)]


@pytest.mark.django_db(transaction=True)
def test_of_two_joins_to_two_waves_at_once_one_counts():
    first, second = make_wave(1), make_wave(2)
    Wave.objects.filter(number=2).update(opens_at=first.opens_at)
    [id] = make_registrants(1, stage=Stage.PHONE_VERIFIED)
    at = [CLOSES - timedelta(minutes=1)]

    with at_the_same_time(lambda: join(second.number, [id], at=at)) as other:
        assert join(first.number, [id], at=at) == [Outcome.JOINED]

    assert (other.waited, other.error, other.outcome) == (True, None, [Outcome.ELSEWHERE])
    assert list(Application.objects.values_list("registrant_id", "wave")) == [(id, 1)]


def test_who_was_not_drawn_joins_the_next_wave_and_is_on_the_way_again():
    draw = make_drawn(count=5, quota=1)
    Draw.objects.update(published_at=AFTER + timedelta(hours=2), announced_at=AFTER + timedelta(hours=3))
    [loser, *_] = Application.objects.exclude(
        registrant_id__in=[place.registrant_id for place in draw_places(draw)]
    ).values_list("registrant_id", flat=True)
    ladder.drop_off({loser: DropOff.NOT_DRAWN}, {loser: AFTER})
    second = make_wave(2)

    assert join(2, [loser], at=[second.opens_at]) == [Outcome.JOINED]
    assert registrant(loser).drop_off == DropOff.NONE


def draw_places(draw):
    return Place.objects.filter(draw_id=draw.pk)


def test_a_frozen_wave_is_joined_by_nobody():
    draw = make_drawn(count=3)
    [id] = make_registrants(1, stage=Stage.PHONE_VERIFIED, first=50)

    assert join(draw.wave_id, [id], at=[START]) == [Outcome.NOT_OPEN]


def test_a_wave_is_left_before_it_closes_and_not_later(open_wave):
    [id] = make_registrants(1, stage=Stage.PHONE_VERIFIED)
    join(1, [id])

    assert leave(1, id)
    assert not leave(1, id), "twice"
    assert join(1, [id]) == [Outcome.JOINED], "and joined again"
    Wave.objects.update(closes_at=timezone.now())
    assert not leave(1, id)
    assert Application.objects.count() == 1
