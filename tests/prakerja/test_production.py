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
for path in ("/mock/", "/mock/langkah/"):
    try:
        print(resolve(path).url_name)
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


def test_the_mock_mailbox_and_phone_and_what_others_do_exist_in_the_demo_only():
    assert asked(DEMO="1").split("\n") == ["mock", "mock_step"]
    assert asked(DEMO="0").split("\n") == ["no such page"] * 2
    assert asked(PRODUCTION="1", DEMO="1", **keys()).split("\n") == ["no such page"] * 2


def test_no_clerk_no_wave_and_no_key_of_the_demo_comes_into_production():
    for command in ("demo_staff", "demo_wave", "demo_partners"):
        done = run("manage.py", command, "--skip-checks", PRODUCTION="1", DEMO="1", **keys())

        assert done.returncode != 0
        assert "This is not a demo" in done.stderr


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
