"""Steps that are asked for, and what becomes of one that cannot be done: it is noted, and stops no other."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.db import InterfaceError, OperationalError

from registrations.models import Wave
from tests.waves.cast import (
    AFTER,
    BEACON,
    make_applicants,
    make_committed,
    make_frozen,
    make_published,
    make_staff,
    make_wave,
)
from waves import acts, tasks
from waves.models import Act, Decree, Draw
from waves.randomness import MockBeacon

pytestmark = pytest.mark.django_db

Name = Act.Name


def asked(name, wave=1, **details):
    """Two people want it."""
    maker = make_staff(f"maker of {name} {wave}")
    act = acts.ask(Wave.objects.get(pk=wave), name, by=maker, **details)
    if name.takes_two:
        acts.confirm(act, by=make_staff(f"checker of {name} {wave}"))
    return act


def closed(number):
    make_applicants(make_wave(number), 3, first=100 * number)


def refusal_of(act):
    act.refresh_from_db()
    return act.refused


def test_beat_has_the_waves_work_done():
    scheduled = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}

    assert scheduled >= {task.name for task in (tasks.carry_out, tasks.write_draws, tasks.warn, tasks.revoke)}


class Failing:
    """A beacon in which something has gone wrong."""

    def __init__(self, error):
        self.error = error

    @property
    def chain(self):
        raise self.error


def test_a_round_that_no_calendar_knows_is_refused_and_the_other_acts_are_done():
    make_frozen(count=3)
    closed(2)
    bad, good = asked(Name.COMMIT, round=10**11), asked(Name.SCREEN, wave=2)

    done = acts.carry_out_waiting(beacon=BEACON, clock=lambda: Wave.objects.get(pk=2).closes_at)

    assert done == 1
    assert refusal_of(bad) == "There is no such round."
    assert refusal_of(good) == ""
    assert Draw.objects.get().committed_at is None


def test_a_key_of_decrees_that_was_not_filled_in_is_refused_and_the_other_acts_are_done(settings):
    make_published(count=4)
    closed(2)
    bad = asked(Name.DECREE, signer="Denni")
    asked(Name.SCREEN, wave=2)
    settings.DECREE_KEYS = "2026a:"

    assert acts.carry_out_waiting(beacon=BEACON, clock=lambda: Wave.objects.get(pk=2).closes_at) == 1

    assert "DECREE_KEYS" in refusal_of(bad)
    assert not Decree.objects.exists()


def test_what_nobody_has_foreseen_is_noted_by_its_type_alone_and_stops_no_other_act(caplog):
    make_frozen(count=3)
    closed(2)
    bad = asked(Name.COMMIT, round=BEACON.chain.first_after(AFTER))
    asked(Name.SCREEN, wave=2)

    done = acts.carry_out_waiting(beacon=Failing(KeyError("Siti Rahmawati")), clock=lambda: Wave.objects.get(pk=2).closes_at)

    assert done == 1
    assert "KeyError" in refusal_of(bad)
    assert "KeyError" in caplog.text
    assert "Siti" not in refusal_of(bad) + caplog.text
    acts.withdraw(bad)


def test_the_instant_that_counts_is_that_of_each_act_and_not_that_at_which_the_first_began():
    make_frozen(count=3)
    closed(2)
    before = Wave.objects.get(pk=2).closes_at
    round = BEACON.chain.first_after(before)
    slow, late = asked(Name.SCREEN, wave=2), asked(Name.COMMIT, round=round)
    instants = iter([before, BEACON.chain.at(round)])

    assert acts.carry_out_waiting(beacon=BEACON, clock=lambda: next(instants)) == 1

    assert (refusal_of(slow), refusal_of(late)) == ("", f"Round {round} lies in the past: its randomness is known.")
    assert Draw.objects.get().secret is None


def test_when_its_round_is_out_a_draw_is_drawn_before_it_is_annulled():
    make_committed(count=5)
    asked(Name.ANNUL, reason="It would not have fitted.")

    tasks.carry_out()

    draw = Draw.objects.get()
    assert draw.annulled_at
    assert (draw.selected, draw.published_at) == (5, draw.annulled_at)


def test_a_draw_that_fails_is_told_in_the_log_and_stops_no_act(caplog):
    make_committed(count=5)

    class Nonsense(MockBeacon):
        def signature(self, round):
            raise RuntimeError("Siti Rahmawati")

    assert acts.reveal(beacon=Nonsense(), at=AFTER + timedelta(hours=1)) == 0
    assert "draw 1 of wave 1: RuntimeError" in caplog.text
    assert "Siti" not in caplog.text
    assert acts.reveal(beacon=BEACON, at=AFTER + timedelta(hours=1)) == 1


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_without_a_database_an_act_waits_to_be_done_again(error):
    make_frozen(count=3)
    act = asked(Name.COMMIT, round=BEACON.chain.first_after(AFTER))

    with pytest.raises(error):
        acts.carry_out_waiting(beacon=Failing(error("gone")), clock=lambda: AFTER)

    assert refusal_of(act) == ""
    assert acts.carry_out_waiting(beacon=BEACON, clock=lambda: AFTER) == 1
