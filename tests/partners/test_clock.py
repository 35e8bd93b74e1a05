"""By which clock a call is taken: no header tells it."""

from datetime import UTC, datetime, timedelta

import pytest
from django.test import RequestFactory
from django.utils import timezone

from partners import clock

pytestmark = pytest.mark.django_db

THEN = datetime(2020, 5, 1, tzinfo=UTC)


def test_a_call_is_taken_by_the_databases_clock_whatever_its_headers_say():
    headers = {clock.SIMULATED: THEN.isoformat(), "X-Simulated-At": THEN.isoformat(), "prakerja-now": THEN.isoformat()}

    request = RequestFactory().get("/", headers=headers)

    assert abs(clock.now(request) - timezone.now()) < timedelta(minutes=1)


def test_the_server_of_a_simulation_tells_the_time():
    request = RequestFactory().get("/", **{clock.SIMULATED: THEN})

    assert clock.now(request) == THEN
