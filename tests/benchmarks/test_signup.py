"""The sign-up's benchmark runs, and what it says hangs together."""

import json
import subprocess
import sys

import pytest

from registrations.models import Registrant
from tests.conftest import ROOT, project_environment

MEASURE = """
import django, json
django.setup()
from benchmarks import signup
print(json.dumps(signup.measure(seconds=0.5, waiting=20_000)))
"""


@pytest.mark.django_db(transaction=True)
def test_the_sign_up_is_measured_against_the_bare_view():
    measured = subprocess.run(
        [sys.executable, "-c", MEASURE],
        cwd=ROOT,
        env=project_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert measured.returncode == 0, measured.stderr
    figures = json.loads(measured.stdout)
    assert figures["signup_ratio"] == pytest.approx(figures["signup_per_s"] / figures["bare_per_s"])
    assert figures["signup_during_joins_ratio"] == pytest.approx(
        figures["signup_during_joins_per_s"] / figures["signup_per_s"]
    )
    assert min(figures.values()) > 0
    assert not Registrant.objects.exists()
