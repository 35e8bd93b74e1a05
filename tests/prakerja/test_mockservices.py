"""The mock services as a program of their own."""

import os
import subprocess
import sys

from foundation.services import Unavailable
from foundation.sms import Delivery, HttpSms, Sms
from tests.conftest import ROOT


def test_the_command_says_where_it_listens_and_needs_no_database():
    command = [sys.executable, "manage.py", "mockservices", "--port", "0", "--fail-percent", "50", "--seed", "4"]
    environment = {**os.environ, "DATABASE_URL": "postgres://nobody@127.0.0.1:1/nowhere"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            gateway = HttpSms(server.stdout.readline().strip())
            outcomes = [_outcome(gateway, str(n)) for n in range(20)]
        finally:
            server.terminate()

    assert set(outcomes) == {Delivery.ACCEPTED, None}


def _outcome(gateway: HttpSms, reference: str) -> Delivery | None:
    try:
        return gateway.send([Sms(reference, "+6281234567890", "123456")])[0]
    except Unavailable:
        return None
