"""Hints: nobody waits for the broker, and however many ask, a queue gets few messages."""

import os
import subprocess
import sys
import time
from uuid import uuid4

import pytest
import redis

from foundation import hints
from foundation.models import ServiceState
from foundation.work import work_off
from tests.conftest import ROOT
from tests.processes import wait_until


@pytest.fixture
def queue():
    """A queue of the test's own, and how many messages wait in it."""
    client = redis.Redis.from_url(os.environ["REDIS_URL"].replace("redis+socket", "unix").replace("virtual_host", "db"))
    name = f"hints-{uuid4().hex}"
    yield name, lambda: client.llen(name)
    client.delete(name)


def test_however_many_ask_a_queue_gets_few_messages(settings, queue):
    settings.HINTS = True
    name, waiting = queue

    for _ in range(200):
        hints.send_hint(name)
    hints._sender.drain(10)

    assert 1 <= waiting() <= 20


def test_one_who_asks_later_gets_a_message_of_their_own(settings, queue):
    settings.HINTS = True
    name, waiting = queue

    for _ in range(2):
        hints.send_hint(name)
        hints._sender.drain(10)

    assert waiting() == 2


def test_work_that_falls_due_later_is_told_of_then(settings, queue):
    settings.HINTS = True
    name, waiting = queue

    hints.send_hint(name, after=0.5)
    hints.send_hint(name, after=0.51)
    hints._sender.drain(10)
    assert waiting() == 0
    wait_until(lambda: waiting() == 1, seconds=10, what="the hint is sent")


@pytest.mark.django_db
def test_where_a_quota_is_used_up_a_worker_is_told_when_there_is_more(settings, queue):
    settings.HINTS, settings.SERVICES = True, {"sms": {"BACKEND": "x", "RATE": 1000}}
    name, waiting = queue
    ServiceState.objects.create(name="sms", tokens=-5000)

    assert work_off(name, size=10, service="sms", act=lambda claim: 1) == 0

    wait_until(lambda: waiting() == 1, seconds=10, what="the hint is sent")
    ServiceState.objects.update(tokens=1000)
    assert work_off(name, size=10, service="sms", act=lambda claim: 1) == 0
    assert name not in [queue for _, queue in hints._sender._due], "nothing is due, and nobody is told of it again"


def test_without_hints_nothing_is_sent(settings, queue):
    settings.HINTS = False
    name, waiting = queue

    hints.send_hint(name)
    hints._sender.drain(10)

    assert waiting() == 0


def test_nobody_waits_for_a_broker_that_is_not_there():
    asked = "import time, django; django.setup(); from foundation.hints import send_hint; start = time.monotonic();"
    asked += "[send_hint('email') for _ in range(100)]; print(time.monotonic() - start)"
    environment = os.environ | {
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "HINTS": "1",
        "DJANGO_SETTINGS_MODULE": "prakerja.settings",
    }

    start = time.monotonic()
    told = subprocess.run(
        [sys.executable, "-c", asked], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )

    assert float(told.stdout) < 0.5
    assert "no broker" in told.stderr
    assert time.monotonic() - start < 20, "nor does the end of the process wait for long"
