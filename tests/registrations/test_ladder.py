"""One mover: nobody skips, nobody moves twice, and the database refuses an impossible registrant."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from registrations import ladder
from registrations.models import Registrant
from registrations.stages import DropOff, Stage
from tests.people import START, make_registrant, make_registrants
from tests.plans import rows_read

pytestmark = pytest.mark.django_db


def test_those_on_the_rung_below_climb_and_only_once():
    ids = make_registrants(3)
    later = START + timedelta(hours=1)

    assert ladder.climb(Stage.EMAIL_VERIFIED, dict.fromkeys(ids, later)) == set(ids)
    assert ladder.climb(Stage.EMAIL_VERIFIED, dict.fromkeys(ids, later)) == set()

    assert set(Registrant.objects.values_list("stage", "email_verified_at")) == {(Stage.EMAIL_VERIFIED, later)}


def test_nobody_skips_a_rung():
    [id] = make_registrants(1)

    assert ladder.climb(Stage.IDENTITY_VERIFIED, {id: START}) == set()


def test_a_rung_is_never_reached_before_the_one_below():
    registrant = make_registrant()

    ladder.climb(Stage.EMAIL_VERIFIED, {registrant.pk: START - timedelta(days=1)})

    registrant.refresh_from_db()
    assert registrant.email_verified_at == registrant.registered_at


def test_a_reason_holds_only_people_on_its_own_rung():
    registered, verified = make_registrant(number=1), make_registrant(number=2, stage=Stage.EMAIL_VERIFIED)
    reasons = dict.fromkeys([registered.pk, verified.pk], DropOff.NIK_UNKNOWN)

    assert ladder.drop_off(reasons, dict.fromkeys(reasons, START)) == {verified.pk}

    registered.refresh_from_db()
    verified.refresh_from_db()
    assert (registered.drop_off, verified.drop_off) == (DropOff.NONE, DropOff.NIK_UNKNOWN)


def test_climbing_leaves_the_reason_behind():
    registrant = make_registrant()
    ladder.drop_off({registrant.pk: DropOff.MAILBOX_FULL}, {registrant.pk: START})

    ladder.climb(Stage.EMAIL_VERIFIED, {registrant.pk: START})

    registrant.refresh_from_db()
    assert (registrant.drop_off, registrant.drop_off_at) == (DropOff.NONE, None)


@pytest.mark.parametrize(
    "impossible",
    [
        {"stage": Stage.EMAIL_VERIFIED},
        {"email_verified_at": START},
        {"stage": Stage.IDENTITY_VERIFIED, "identity_verified_at": START},
        {"stage": 9},
        {"drop_off": DropOff.NIK_UNKNOWN, "drop_off_at": START},
        {"drop_off": DropOff.MAILBOX_FULL},
        {"wave_id": 77},
    ],
)
def test_the_database_refuses_an_impossible_registrant(impossible):
    registrant = make_registrant()

    def write():
        with transaction.atomic():
            Registrant.objects.filter(pk=registrant.pk).update(**impossible)
            # Foreign keys are checked at the end.
            transaction.get_connection().check_constraints()

    with pytest.raises(IntegrityError):
        write()


READ = ("registrations_registrant", "registrations_personaldata")


def test_people_are_read_once_each_even_when_the_planner_takes_the_tables_for_empty():
    ids = make_registrants(300)
    with connection.cursor() as cursor:
        # As a vacuum leaves a table of which it could cut off no page.
        cursor.execute(
            "UPDATE pg_class SET relpages = 20, reltuples = 0 WHERE relname LIKE 'registrations_%' AND relkind = 'r'"
        )
    before = rows_read(*READ)

    assert ladder.standing(ids, Stage.REGISTERED).keys() == set(ids)

    assert rows_read(*READ) - before < 300 * 5
