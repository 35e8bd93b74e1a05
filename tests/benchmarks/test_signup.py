"""The sign-up's benchmark runs, and what it says hangs together."""

import json

import pytest

from registrations.models import Registrant
from tests.processes import output_of

MEASURE = """
import django, json
django.setup()
from benchmarks import signup
print(json.dumps(signup.measure(seconds=0.5, waiting=20_000)))
"""


@pytest.mark.django_db(transaction=True)
def test_the_sign_up_is_measured_against_the_bare_view():
    figures = json.loads(output_of(MEASURE))

    assert figures["signup_ratio"] == pytest.approx(figures["signup_per_s"] / figures["bare_per_s"])
    assert figures["signup_during_joins_ratio"] == pytest.approx(
        figures["signup_during_joins_per_s"] / figures["signup_per_s"]
    )
    assert min(figures.values()) > 0
    assert not Registrant.objects.exists()
