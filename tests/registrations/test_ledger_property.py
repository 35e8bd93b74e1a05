"""The ledger equals a recount after any interleaving of all movers, of hands in the tables, and of folding."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registrations import funnel, ladder
from registrations.models import Registrant, Wave
from registrations.regions import Province
from registrations.stages import DropOff, Stage
from tests.people import START, make_registrants

HOURS = st.integers(0, 24 * 70)
PEOPLE = st.lists(st.integers(0, 11), min_size=1, max_size=8, unique=True)
MOVES = st.one_of(
    st.tuples(st.just("arrive"), st.integers(1, 3), HOURS, st.sampled_from(Province.values)),
    st.tuples(st.just("climb"), PEOPLE, st.sampled_from(list(Stage)[1:]), HOURS),
    st.tuples(st.just("drop"), PEOPLE, st.sampled_from([reason for reason in DropOff if reason]), HOURS),
    st.tuples(st.just("clear"), PEOPLE, st.sampled_from(list(Stage)[:3]), HOURS),
    st.tuples(st.just("hand: down"), PEOPLE),
    st.tuples(st.just("hand: move"), PEOPLE, st.sampled_from(Province.values), st.integers(1, 2)),
    st.tuples(st.just("hand: time"), PEOPLE, HOURS),
    st.tuples(st.just("hand: select"), PEOPLE, st.integers(1, 2)),
    st.tuples(st.just("hand: delete"), PEOPLE),
    st.tuples(st.just("fold")),
    st.tuples(st.just("undo")),
)


class Undone(Exception):
    pass


def move(step, ids, number):
    """One step of somebody who moves people."""
    what, *how = step

    def chosen(places):
        return [ids[place] for place in places if place < len(ids)]

    match what, how:
        case "arrive", [count, hour, province]:
            first = 1 + 10 * number
            ids += make_registrants(count, first=first, at=START + timedelta(hours=hour), province=Province(province))
        case "climb", [places, stage, hour]:
            ladder.climb(stage, dict.fromkeys(chosen(places), START + timedelta(hours=hour)))
        case "drop", [places, reason, hour]:
            ladder.drop_off(
                dict.fromkeys(chosen(places), reason), dict.fromkeys(chosen(places), START + timedelta(hours=hour))
            )
        case "clear", [places, stage, hour]:
            ladder.clear_drop_off(chosen(places), stage, START + timedelta(hours=hour))
        case "hand: down", [places]:
            Registrant.objects.filter(pk__in=chosen(places), stage=2).update(
                stage=1, email_verified_at=None, drop_off=0, drop_off_at=None
            )
        case "hand: move", [places, province, wave]:
            Registrant.objects.filter(pk__in=chosen(places)).update(province=province, wave=wave)
        case "hand: time", [places, hour]:
            Registrant.objects.filter(pk__in=chosen(places)).update(registered_at=START + timedelta(hours=hour))
        case "hand: select", [places, wave]:
            Registrant.objects.filter(pk__in=chosen(places)).update(selected_wave=wave)
        case "hand: delete", [places]:
            Registrant.objects.filter(pk__in=chosen(places)).delete()
        case "fold", []:
            funnel.fold()
        case "undo", []:
            raise Undone


@pytest.mark.django_db
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(st.lists(MOVES, min_size=1, max_size=4), max_size=8))
def test_the_ledger_equals_a_recount_after_any_interleaving(transactions):
    with transaction.atomic():
        Wave.objects.create(number=1, opens_at=START - timedelta(days=1), closes_at=START + timedelta(days=20))
        Wave.objects.create(number=2, opens_at=START + timedelta(days=20), closes_at=START + timedelta(days=90))
        ids = make_registrants(6, first=900)
        for number, steps in enumerate(transactions):
            try:
                with transaction.atomic():
                    for place, step in enumerate(steps):
                        move(step, ids, 10 * number + place)
            except (Undone, IntegrityError):
                ids[:] = list(Registrant.objects.order_by("pk").values_list("pk", flat=True))
            assert funnel.recount().differences == []
        funnel.fold()
        assert funnel.recount().differences == []
        assert _rungs(funnel.read()) == _counted()
        transaction.set_rollback(True)


def _rungs(found):
    return [rung.people for rung in found.rungs]


def _counted():
    with connection.cursor() as cursor:
        stamps = ", ".join(f"count({stage.timestamp})" for stage in Stage)
        cursor.execute(f"SELECT {stamps} FROM registrations_registrant")
        return list(cursor.fetchone())
