"""The simulated programme ends on the exact figures, however often it is stopped on the way."""

import re
from datetime import datetime
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from foundation.models import Work
from prakerja.simulation import drive, programme, selection
from registrations import funnel
from registrations.funnel import WIB, View
from registrations.models import Registrant, Wave
from registrations.stages import Stage
from tests.clock import fall_due
from tests.people import make_registrants
from waves import decrees
from waves.models import Application, Change, Decree, Draw

pytestmark = pytest.mark.django_db


def simulate(*arguments, draws=False):
    output = StringIO()
    workers = [] if "--workers" in arguments else ["--workers", "1"]
    end = "--without-spending" if draws else "--without-draws"
    call_command("simulate", *arguments, *workers, end, stdout=output)
    return output.getvalue()


def figures(view=View()):
    return [rung.people for rung in funnel.read(view).rungs[:4]]


def test_the_programme_at_a_thousandth_is_exact():
    printed = simulate("--scale", "0.001")

    assert "23.171 / 18.000 / 13.400 / 11.990" in printed
    assert figures() == [23171, 18000, 13400, 11990]
    assert [funnel.read(View(wave=number)).registered for number in range(1, 9)] == [
        5965,
        2635,
        1800,
        2100,
        2400,
        2300,
        2800,
        3171,
    ]
    assert figures(View(as_of=datetime(2020, 4, 16, 16, tzinfo=WIB))) == [5965, 4428, 3290, 2078]
    assert funnel.read(View(as_of=datetime(2020, 4, 29, tzinfo=WIB))).registered == 8600
    assert funnel.read(View(as_of=datetime(2020, 5, 20, tzinfo=WIB))).registered == 10400
    assert figures(View(as_of=datetime(2020, 9, 16, tzinfo=WIB))) == [23171, 18000, 13400, 11990]
    assert funnel.recount().differences == []
    assert not Work.objects.exists()


def test_the_decrees_of_waves_1_to_7_name_exactly_as_many_as_published(capsys):
    printed = simulate("--scale", "0.001", draws=True)

    assert re.search(r"wave 8: joining: 100%\|.*\| 64150/64150 \[[0-9:]+<00:00, [ 0-9.]+ steps/s\]", capsys.readouterr().err)
    assert "23.171 / 18.000 / 13.400 / 11.990 / 3.881" in printed
    named = [decree.names for decree in Decree.objects.order_by("draw__wave")]
    assert named == [168, 288, 225, 800, 800, 800, 800]
    assert [decree.number for decree in Decree.objects.all()] == [1, 2, 3, 4, 5, 6, 7]
    assert all(decrees.faults(decree) == [] for decree in Decree.objects.all())
    assert Registrant.objects.filter(stage=Stage.SELECTED, selected_wave__isnull=False).count() == sum(named)
    assert [Application.objects.filter(wave=wave).count() for wave in range(1, 9)] == [
        2000,
        1500,
        1000,
        1200,
        1770,
        1760,
        2800,
        4000,
    ]
    assert not Draw.objects.filter(wave=8).exists()
    assert funnel.recount().differences == []
    by_selection = [[rung.people for rung in funnel.read(View(selected_wave=wave)).rungs[:5]] for wave in range(1, 9)]
    assert by_selection == [[people] * 5 for people in [*named, 0]]
    assert sum(funnel.read(View(wave=wave)).rungs[4].people for wave in range(1, 9)) == sum(named)
    assert funnel.read(View(as_of=datetime(2020, 8, 14, tzinfo=WIB))).rungs[4].people == sum(named[:4])
    assert simulate("--scale", "0.001", draws=True) == printed, "nothing is left to do"
    seats = list(Change.objects.filter(field="quota").order_by("pk").values_list("wave", "before", "after"))
    assert seats == [(1, "164", "200"), (1, "200", "168")], "raised as in April 2020, and as many as were named in the end"
    assert Change.objects.earliest("pk").at == datetime(2020, 4, 16, 16, tzinfo=WIB)


def test_as_many_join_each_wave_and_have_seats_as_was_published():
    offices = selection.offices(programme.plan(programme.Fraction(1)), programme.Fraction(1))

    joiners = {office.plan.number: office.joiners for office in offices}
    published = {1: 2_000_000, 4: 1_200_000, 5: 1_770_000, 6: 1_760_000, 7: 2_800_000, 8: 4_000_000}
    assert {wave: joiners[wave] for wave in published} == published
    assert (offices[0].plan.quota, offices[0].raised, offices[0].accepted) == (164_000, 200_000, 168_111)


def test_a_simulation_that_is_stopped_between_two_steps_goes_on_to_the_same_decrees():
    simulate("--registrants", "3000", "--waves", "1-2")
    plans = programme.plan_registrants(3000, range(1, 3))
    offices = selection.offices(plans, programme.Fraction(3000, programme.REGISTERED))

    class Stopped(Exception):
        pass

    def stop(doing, more):
        if doing.startswith("wave 2"):
            raise Stopped

    with pytest.raises(Stopped):
        selection.run(offices, seed=2020, tick=stop)
    assert Decree.objects.count() == 1
    taken, told = [office.taken() for office in offices], []
    selection.run(offices, seed=2020, tick=lambda doing, more: told.append(more))

    assert taken == [offices[0].steps, 0]
    assert sum(told) == offices[1].steps == offices[1].taken(), "what is left, and no more, is told"
    assert [decree.names for decree in Decree.objects.all()] == [office.accepted for office in offices]
    assert funnel.recount().differences == []


def test_any_number_of_registrants_is_exact():
    simulate("--registrants", "777", "--seed", "5")

    scale = programme.Fraction(777, programme.REGISTERED)
    assert figures() == [programme.half_up(figure * scale) for figure in (23171233, 18000000, 13400000, 11990000)]
    assert figures()[0] == 777


def test_some_waves_only():
    simulate("--scale", "0.0002", "--waves", "2-3")

    assert list(Wave.objects.values_list("number", flat=True)) == [2, 3]
    assert [funnel.read(View(wave=number)).registered for number in (2, 3)] == [
        plan.registered for plan in programme.plan("0.0002", [2, 3])
    ]


class Stopped(Exception):
    pass


def test_who_is_stopped_goes_on_to_the_same_figures():
    plans = programme.plan_registrants(900)
    steps = 0

    def stop_often():
        nonlocal steps
        steps += 1
        # What was in hand when it was stopped comes back when its lease ends.
        if steps % 3 == 0:
            raise Stopped

    for _ in range(400):
        fall_due()
        simulation = drive.begin(plans, scale=programme.Fraction(900, programme.REGISTERED), seed=3, batch=50)
        try:
            for _ in simulation.work(batch=50, pipeline=True):
                stop_often()
            break
        except Stopped:
            continue

    assert steps > 20
    assert figures()[0] == 900
    for plan in plans:
        assert figures(View(wave=plan.number)) == [
            plan.registered,
            plan.email_verified,
            plan.identity_verified,
            plan.phone_verified,
        ]
    assert funnel.recount().differences == []


def test_texts_that_are_read_once_more_after_a_crash_ask_for_no_code_without_need():
    """Whoever dies after typing and before settling leaves the texts to be read again, by people who are verified."""
    people = 900
    plans = programme.plan_registrants(people)
    simulation = drive.begin(plans, scale=programme.Fraction(people, programme.REGISTERED), seed=3, batch=50)
    doubled: set[int] = set()
    for _ in simulation.work(batch=50, pipeline=True):
        with connection.cursor() as cursor:
            cursor.execute(
                """
                INSERT INTO foundation_work (queue, subjects, notes, since, due_at)
                SELECT queue, subjects, notes, since, due_at FROM foundation_work
                WHERE queue = 'handset' AND unknowns = 0 AND id <> ALL (%s) RETURNING id
                """,
                [list(doubled)],
            )
            doubled.update(id for (id,) in cursor.fetchall())
            cursor.execute("SELECT id FROM foundation_work WHERE queue = 'handset'")
            doubled.update(id for (id,) in cursor.fetchall())
            # Who typed wrongly twice as often as they would may have to ask for a code: hours pass.
            cursor.execute(
                """
                UPDATE verification_onetimecode
                SET sent_at = ARRAY(SELECT sent - interval '2 hours' FROM unnest(sent_at) sent)
                """
            )

    assert len(doubled) > 10
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*), count(*) FILTER (WHERE cardinality(sent_at) > 1) FROM verification_onetimecode")
        codes, sent_again = cursor.fetchone()
    assert sent_again < codes / 20
    assert figures() == [
        programme.half_up(figure * programme.Fraction(people, programme.REGISTERED))
        for figure in (23171233, 18000000, 13400000, 11990000)
    ]


def outcome():
    return sorted(Registrant.objects.values_list("reference", "stage", "drop_off", "province", "phone_verified_at"))


@pytest.mark.django_db(transaction=True)
def test_the_same_seed_lives_the_same_life_and_another_one_another():
    lives = []
    for seed in ("1", "1", "2"):
        simulate("--registrants", "150", "--seed", seed, "--reset")
        lives.append(outcome())

    assert lives[0] == lives[1]
    assert lives[0] != lives[2]


@pytest.mark.django_db
def test_a_database_without_all_tables_is_refused():
    [newest] = MigrationLoader(connection).graph.leaf_nodes("trainings")
    MigrationRecorder(connection).record_unapplied(*newest)

    with pytest.raises(CommandError, match=r"manage\.py migrate"):
        simulate("--registrants", "10")


@pytest.mark.django_db(transaction=True)
def test_a_database_with_people_in_it_is_refused_unless_reset():
    make_registrants(1)

    with pytest.raises(CommandError, match="--reset"):
        simulate("--registrants", "10")
    assert "Going on" in simulate("--registrants", "10", "--if-empty")
    assert Registrant.objects.count() == 1

    simulate("--registrants", "10", "--reset")
    assert Registrant.objects.count() == 10
    simulate("--registrants", "10")
    assert Registrant.objects.count() == 10, "done is done"
    with pytest.raises(CommandError, match="another simulation"):
        simulate("--registrants", "11")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--scale", "0"],
        ["--scale", "2"],
        ["--scale", "x"],
        ["--registrants", "0"],
        ["--registrants", "-3"],
        ["--registrants", "99999999"],
    ]
    + [["--scale", "1", "--waves", waves] for waves in ("0", "9", "3-2", "a", "1-")],
)
def test_senseless_numbers_are_refused(arguments):
    with pytest.raises(CommandError):
        simulate(*arguments)


def test_production_is_no_place_for_made_up_people(settings):
    settings.PRODUCTION = True

    with pytest.raises(CommandError, match="production"):
        simulate("--registrants", "10")
