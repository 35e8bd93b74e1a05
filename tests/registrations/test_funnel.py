"""The ledger is exact whoever writes, now and as of any past hour."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction

from registrations import funnel, ladder
from registrations.funnel import WIB, View
from registrations.models import Movement, Registrant, Wave
from registrations.regions import Province
from registrations.stages import DropOff, Stage
from tests.people import START, make_registrants

HOUR = timedelta(hours=1)


def people(view: View = View()) -> dict[Stage, int]:
    return {rung.stage: rung.people for rung in funnel.read(view).rungs if rung.people}


@pytest.mark.django_db
def test_the_funnel_of_nobody_is_eight_empty_rungs():
    found = funnel.read()

    assert [(rung.people, rung.waiting, rung.lost, rung.share_of_all) for rung in found.rungs] == [(0, 0, [], None)] * 8
    assert funnel.recount().differences == []


@pytest.mark.django_db
@pytest.mark.parametrize("folded", [False, True])
def test_every_rung_counts_who_has_reached_it(folded):
    make_registrants(5, stage=Stage.REGISTERED, first=1)
    ids = make_registrants(3, stage=Stage.EMAIL_VERIFIED, first=11)
    make_registrants(2, stage=Stage.PHONE_VERIFIED, first=21)
    ladder.drop_off({ids[0]: DropOff.KK_MISMATCH}, {ids[0]: START})
    if folded:
        assert funnel.fold() > 0
        assert not Movement.objects.exists()

    registered, email, identity, phone, *_ = funnel.read().rungs

    assert [rung.people for rung in (registered, email, identity, phone)] == [10, 5, 2, 2]
    assert (registered.waiting, email.waiting, identity.waiting, phone.waiting) == (5, 2, 0, 2)
    assert email.lost == [funnel.Lost(DropOff.KK_MISMATCH, 1)]
    assert (email.share_of_above, email.share_of_all) == (0.5, 0.5)
    assert funnel.recount().differences == []


@pytest.mark.django_db
@pytest.mark.parametrize("folded", [False, True])
def test_the_past_is_as_it_was(folded):
    ids = make_registrants(4)
    ladder.drop_off({ids[0]: DropOff.MAILBOX_FULL}, {ids[0]: START + 2 * HOUR})
    ladder.climb(Stage.EMAIL_VERIFIED, dict.fromkeys(ids[:2], START + 30 * HOUR))
    ladder.climb(Stage.IDENTITY_VERIFIED, {ids[0]: START + 40 * 24 * HOUR})
    if folded:
        funnel.fold()

    def at(moment):
        rung = funnel.read(View(as_of=moment)).rungs[0]
        return rung.people, [entry.people for entry in rung.lost], people(View(as_of=moment)).get(Stage.EMAIL_VERIFIED, 0)

    assert at(START) == (0, [], 0)
    assert at(START + HOUR) == (4, [], 0)
    assert at(START + 3 * HOUR) == (4, [1], 0)
    assert at(START + 30 * HOUR) == (4, [1], 0)
    assert at(START + 31 * HOUR) == (4, [], 2)
    assert people(View(as_of=START + 41 * 24 * HOUR)) == {
        Stage.REGISTERED: 4,
        Stage.EMAIL_VERIFIED: 2,
        Stage.IDENTITY_VERIFIED: 1,
    }
    assert at(START + 3 * HOUR) == at(START + 3 * HOUR + timedelta(minutes=59)), "the ledger knows full hours"


@pytest.mark.django_db
def test_a_cleared_reason_stays_in_history():
    [id] = make_registrants(1)
    ladder.drop_off({id: DropOff.MAILBOX_FULL}, {id: START + HOUR})
    ladder.clear_drop_off([id], Stage.REGISTERED, START + 5 * HOUR)

    def held(hours):
        return sum(entry.people for entry in funnel.read(View(as_of=START + hours * HOUR)).rungs[0].lost)

    assert [held(hours) for hours in (1, 2, 5, 6)] == [0, 1, 1, 0]
    assert funnel.recount().differences == []


@pytest.mark.django_db
def test_waves_are_counted_apart_and_together():
    Wave.objects.create(number=1, opens_at=START - HOUR, closes_at=START + HOUR)
    Wave.objects.create(number=2, opens_at=START + HOUR, closes_at=START + 3 * HOUR)
    make_registrants(2, at=START, first=1)
    make_registrants(3, at=START + HOUR, first=11)
    make_registrants(4, at=START + 9 * HOUR, first=21)

    counts = [funnel.read(View(wave=number)).registered for number in (1, 2, 3)]

    assert counts == [2, 3, 4]
    assert [funnel.read(View(until_wave=number)).registered for number in (1, 2, 3)] == [2, 5, 9]
    assert Wave.objects.get(number=3).closes_at is None, "who comes after all waves belongs to the next one, still undated"


@pytest.mark.django_db
def test_provinces_add_up():
    make_registrants(2, first=1, province=Province(32))
    make_registrants(3, first=11, province=Province(91), stage=Stage.EMAIL_VERIFIED)
    funnel.fold()

    found = funnel.by_province()

    assert [(row.province, row.people[Stage.REGISTERED], row.people[Stage.EMAIL_VERIFIED]) for row in found] == [
        (91, 3, 3),
        (32, 2, 0),
    ]


@pytest.mark.django_db(transaction=True)
def test_a_hand_in_psql_leaves_the_ledger_exact(psql):
    ids = make_registrants(6, stage=Stage.EMAIL_VERIFIED)
    funnel.fold()

    psql(f"UPDATE registrations_registrant SET stage = 3, identity_verified_at = now() WHERE id IN ({ids[0]}, {ids[1]})")
    psql(f"UPDATE registrations_registrant SET drop_off = 24, drop_off_at = now() WHERE id = {ids[2]}")
    psql(f"UPDATE registrations_registrant SET stage = 1, email_verified_at = NULL WHERE id = {ids[3]}")
    psql(
        f"UPDATE registrations_registrant SET registered_at = registered_at - interval '3 h', province = 11 WHERE id = {ids[4]}"
    )
    psql(f"DELETE FROM registrations_registrant WHERE id = {ids[5]}")

    assert people() == {Stage.REGISTERED: 5, Stage.EMAIL_VERIFIED: 4, Stage.IDENTITY_VERIFIED: 2}
    assert funnel.read().rungs[1].lost == [funnel.Lost(DropOff.NIK_TAKEN, 1)]
    assert funnel.recount().differences == []
    funnel.fold()
    assert funnel.recount().differences == []

    psql("INSERT INTO registrations_wave (number) VALUES (2)")
    psql("UPDATE registrations_registrant SET wave_id = 2")

    assert funnel.read(View(wave=2)).registered == 5
    assert funnel.recount().differences == []

    psql("TRUNCATE registrations_registrant")

    assert people() == {}
    assert funnel.recount().differences == []


@pytest.mark.django_db
def test_recount_names_the_cell_in_which_a_ledger_was_forged():
    make_registrants(3)
    funnel.fold()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE registrations_cell SET people = people + 1 WHERE grain = 1 AND province > 0")

    differences = funnel.recount().differences

    assert [(cell.what, cell.ledger, cell.people) for cell in differences if cell.what == "arrivals"] == [("arrivals", 4, 3)]
    coarse = {"day", "month", "hour of all provinces", "day of all provinces", "month of all provinces"}
    assert {cell.what for cell in differences} == {"arrivals"} | coarse


@pytest.mark.django_db
def test_a_movement_is_of_a_province():
    with pytest.raises(IntegrityError, match="movement_of_a_province"):
        Movement.objects.create(wave=1, selected_wave=0, province=0, stage=1, drop_off=0, hour=START, people=1)


@pytest.mark.django_db(transaction=True)
def test_cells_of_the_release_before_are_kept_and_go_back():
    make_registrants(3, stage=Stage.EMAIL_VERIFIED)
    funnel.fold()
    make_registrants(2, first=100)
    views = [
        View(),
        View(wave=1),
        View(as_of=START + timedelta(hours=1)),
        View(until_wave=1, as_of=START + timedelta(days=40)),
    ]

    def seen():
        return [funnel.read(view) for view in views], [funnel.by_province(view) for view in views]

    before = seen()
    try:
        call_command("migrate", "registrations", "0007", verbosity=0)
        with connection.cursor() as cursor:
            cursor.execute("SELECT grain, sum(people) FROM registrations_cell WHERE national AND stage = 1 GROUP BY 1")
            assert dict(cursor.fetchall()) == {"hour": 3, "day": 3, "month": 3}
            cursor.execute(
                "SELECT count(*), max(people) FROM registrations_cell WHERE grain = 'month' AND province > 0 AND national"
            )
            assert cursor.fetchone() == (0, None)
    finally:
        call_command("migrate", verbosity=0)

    assert seen() == before
    assert funnel.recount().differences == []


@pytest.mark.django_db(transaction=True)
def test_recount_is_consistent_while_somebody_writes():
    make_registrants(50)
    with transaction.atomic():
        Registrant.objects.update(stage=Stage.EMAIL_VERIFIED, email_verified_at=START)
        assert funnel.recount().differences == []
        transaction.set_rollback(True)
    assert funnel.recount().differences == []


def test_a_view_is_rounded_down_to_the_full_hour():
    assert View(as_of=START.replace(minute=59, second=59)).as_of == START.astimezone(WIB)
