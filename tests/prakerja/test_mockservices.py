"""The mock services as a program of their own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests

from foundation.services import Unavailable
from foundation.sms import Delivery, HttpSms, Sms
from tests.conftest import ROOT


@contextmanager
def running(*options: str, **environment: str) -> Iterator[str]:
    """The address at which the command says that it listens."""
    env = ENVIRONMENT | environment
    with subprocess.Popen(command(*options), cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def command(*options: str) -> list[str]:
    return [sys.executable, "manage.py", "mockservices", "--port", "0", *options]


ENVIRONMENT = {**os.environ, "DATABASE_URL": "postgres://nobody@127.0.0.1:1/nowhere"}


def test_the_command_says_where_it_listens_and_needs_no_database():
    with running("--fail-percent", "50", "--seed", "4") as url:
        gateway = HttpSms(url)
        outcomes = [_outcome(gateway, str(n)) for n in range(20)]

    assert set(outcomes) == {Delivery.ACCEPTED, None}


def test_of_its_own_accord_it_starts_no_database_either(tmp_path):
    with running(DATABASE_URL="", PRAKERJA_STATE=str(tmp_path / "state")) as url:
        assert requests.get(url + "/control.json", timeout=10).status_code == 200

        assert not (tmp_path / "state" / "postgres").exists()


def test_options_for_all_and_for_one_stand_where_they_belong(tmp_path):
    receipts = ["--receipts-to", "http://127.0.0.1:1/", "--receipt-secret", "whsec_c2VjcmV0"]
    faults = ["--outage", "60:600", "--outage", "900:30", "--latency-ms", "5", "--fault", "sms.latency_ms=9"]
    quota = ["--fault", "dukcapil.quota_records=500", "--fault", "receipts.late_percent=20"]
    with running(*receipts, *faults, *quota, "--ledger", str(tmp_path / "ledger")) as url:
        found = requests.get(url + "/control.json", timeout=10).json()

    assert [found[name]["latency_ms"] for name in ("dukcapil", "email", "sms")] == [5, 5, 9]
    assert [found[name]["quota_records"] for name in ("dukcapil", "email", "sms")] == [500, 0, 0]
    assert found["email"]["outages"] == [[60, 600], [900, 30]]
    assert found["receipts"]["late_percent"] == 20
    assert "began" in (tmp_path / "ledger").read_text()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--fault", "sms.fail_percent=200"], "sms.fail_percent: at most 100"),
        (["--fault", "sms.fail=20"], "sms.fail: no such name"),
        (["--fault", "receipts.late_percent=20"], "receipts: no such name"),
        (["--latency-ms", "long"], "latency_ms: 'long' is no number"),
        (["--receipts-to", "http://127.0.0.1:1/", "--receipt-secret", "?"], "--receipt-secret: the secret is not base64"),
        (["--ledger", "/nowhere/ledger"], "/nowhere/ledger: No such file or directory"),
    ],
)
def test_what_cannot_be_is_refused_in_plain_words(options, said):
    done = subprocess.run(
        command(*options), cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def _outcome(gateway: HttpSms, reference: str) -> Delivery | None:
    try:
        return gateway.send([Sms(reference, "+6281234567890", "123456")])[0]
    except Unavailable:
        return None
