"""What exists in the demo only."""

import base64
import os
import subprocess
import sys

from tests.conftest import ROOT

ASK = """
import django
django.setup()
from django.urls import Resolver404, resolve
try:
    print(resolve("/mock/").url_name)
except Resolver404:
    print("no such page")
"""


def asked(**environment):
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def keys():
    def key():
        return base64.b64encode(os.urandom(48)).decode()

    return {"SECRET_KEY": key(), "SEALING_KEYS": f"1:{base64.b64encode(os.urandom(32)).decode()}", "DIGEST_KEY": key()}


def test_the_mock_mailbox_and_phone_exist_in_the_demo_only():
    assert asked(DEMO="1") == "mock"
    assert asked(DEMO="0") == "no such page"
    assert asked(PRODUCTION="1", DEMO="1", **keys()) == "no such page"


def test_workers_and_beat_do_not_start_with_mock_services_in_production(tmp_path):
    celery = ["-m", "celery", "-A", "prakerja"]
    for arguments in (
        ["manage.py", "worker"],
        [*celery, "worker", "-Q", "email"],
        [*celery, "beat", "-s", str(tmp_path / "schedule"), "--pidfile="],
    ):
        done = run(*arguments, PRODUCTION="1", **keys())

        assert done.returncode != 0
        assert "foundation.E002" in done.stdout + done.stderr
