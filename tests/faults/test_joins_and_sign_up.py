"""A rush on a wave holds up nobody who signs up: the two lock nothing in common."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from django.db import connection, transaction

from registrations import ladder
from registrations.intake import register
from registrations.stages import DropOff, Stage
from tests.people import make_registrants, make_sign_up
from tests.waves.cast import AFTER, make_wave
from waves import joining
from waves.models import Application

PEOPLE = 2000


@pytest.mark.django_db(transaction=True)
def test_while_thousands_join_in_a_transaction_that_does_not_end_others_sign_up():
    wave = make_wave()
    ids = make_registrants(PEOPLE, stage=Stage.PHONE_VERIFIED)
    ladder.drop_off(dict.fromkeys(ids, DropOff.NOT_DRAWN), dict.fromkeys(ids, AFTER))
    joined, may_end = Event(), Event()

    def rush():
        with transaction.atomic():
            outcomes = joining.join(1, ids, at=[wave.opens_at] * PEOPLE)
            joined.set()
            may_end.wait(60)
        connection.close()
        return outcomes

    with ThreadPoolExecutor(1) as pool:
        outcomes = pool.submit(rush)
        try:
            assert joined.wait(60)
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '1s'")
                new = register([make_sign_up(number) for number in range(5001, 5101)])
            still_joining = not Application.objects.exists()
        finally:
            may_end.set()

    assert still_joining
    assert len(new) == 100
    assert set(outcomes.result()) == {joining.Outcome.JOINED}
    assert Application.objects.count() == PEOPLE
