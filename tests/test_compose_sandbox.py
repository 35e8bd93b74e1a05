"""The sandbox's compose file: a project of its own, which has nothing of production's and starts with made-up services only."""

import base64
import json
import os
import secrets
import subprocess
import sys
from typing import Any

import jsonschema
import yaml

from prakerja import demo
from tests.test_compose import COMPOSE as PRODUCTION
from tests.test_compose import PROJECT, argv, parse, parse_worker

SANDBOX: dict[str, Any] = yaml.safe_load((PROJECT / "docker-compose.sandbox.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = SANDBOX["services"]


def key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def environment() -> dict[str, str]:
    """What the web is handed, with what has to be filled in."""
    filled_in = {
        "DATABASE_URL": os.environ["DATABASE_URL"],
        "REDIS_URL": os.environ["REDIS_URL"],
        "SEALING_KEYS": f"1:{key()}",
        "DIGEST_KEY": key(),
        "SECRET_KEY": secrets.token_urlsafe(50),
        "ALLOWED_HOSTS": "sandbox.prakerja.example",
        "BASE_URL": "https://sandbox.prakerja.example",
        "BEHIND_PROXY": "1",
    }
    handed = {
        name: filled_in[name] if "$" in value else value
        for name, value in SERVICES["web"]["environment"].items()
        if value is not None
    }
    return {"PATH": os.environ["PATH"]} | handed


def test_it_is_valid_and_shares_neither_name_nor_port_with_production() -> None:
    schema = json.loads((PROJECT / "tests/data/compose-spec.json").read_text())
    jsonschema.validate(SANDBOX, schema, cls=jsonschema.Draft202012Validator)

    assert SANDBOX["name"] != PRODUCTION["name"]
    assert argv(SERVICES["web"]["ports"]) == ["127.0.0.1:8001:8000"]
    assert not any("external" in (volume or {}) for volume in SANDBOX["volumes"].values())


def test_everything_that_stays_up_is_watched_and_every_queue_worked_off() -> None:
    for name, service in SERVICES.items():
        assert name == "migrate" or (service["healthcheck"]["test"] and service["restart"] == "unless-stopped"), name
    worker = parse_worker(argv(SERVICES["worker"]["command"]))

    assert sorted(worker["queues"].split(",")) == sorted(demo.QUEUES.split(","))
    assert parse(argv(SERVICES["beat"]["command"]))["schedule"] == "/tmp/beat-schedule"  # noqa: S108


def test_it_is_handed_no_service_and_no_secret_but_its_own() -> None:
    handed = SERVICES["web"]["environment"]
    example = (PROJECT / "env.example").read_text()

    assert [name for name in handed if name.endswith("_URL") and name not in ("DATABASE_URL", "REDIS_URL", "BASE_URL")] == []
    assert all(f"\n{name}=" in example for name, value in handed.items() if ":?" in (value or ""))


ASK = """
import django
django.setup()
from django.conf import settings
from django.urls import resolve
from foundation import services
print(settings.PRODUCTION, settings.DEMO, settings.SANDBOX, resolve("/api/v1/sandbox/people/").url_name)
print([name for name in settings.SERVICES if not services.get(name).mock])
"""


def test_what_starts_is_a_sandbox_with_mocks_only() -> None:
    start = [sys.executable, "-m", *argv(SERVICES["web"]["command"]), "--check-config"]
    web = subprocess.run(start, cwd=PROJECT, env=environment(), capture_output=True, text=True)
    asked = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=PROJECT,
        env=environment() | {"DJANGO_SETTINGS_MODULE": "prakerja.settings"},
        capture_output=True,
        text=True,
    )

    assert web.returncode == 0, web.stderr
    assert asked.stdout.splitlines() == ["False False True api_sandbox_people", "[]"], asked.stderr
