"""The compose file, as far as it can be tried without Docker: what it says is valid, and what it runs exists."""

import base64
import json
import os
import re
import secrets
import shlex
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from celery.bin.base import CLIContext
from celery.bin.celery import celery as celery_command
from django.core.management import get_commands, load_command_class

from prakerja import demo
from prakerja.celery import app

PROJECT = Path(__file__).resolve().parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
RUN_ONCE = {"migrate"}
SCRATCH = "/tmp"  # noqa: S108 - the containers' own
WORKERS = {name: service for name, service in SERVICES.items() if name.startswith("worker-")}


def argv(command: str | list[str]) -> list[str]:
    """A command as compose would run it, with the defaults of its variables."""
    words = shlex.split(command) if isinstance(command, str) else command
    return [re.sub(r"\$\{\w+:-(.*?)\}", r"\1", word).replace("$$", "$") for word in words]


def key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def parse_worker(command: list[str]) -> dict[str, Any]:
    """The options that the worker's own parser reads from a command."""
    assert command[:3] == ["python", "manage.py", "worker"]
    return vars(load_command_class("prakerja", "worker").create_parser("manage.py", "worker").parse_args(command[3:]))


def parse(command: list[str]) -> dict[str, Any]:
    """The options that Celery's own parser reads from a command."""
    assert command[:3] == ["celery", "-A", "prakerja"]
    act = celery_command.commands[command[3]]
    return act.make_context(command[3], command[4:], obj=CLIContext(app, no_color=True, workdir=None, quiet=True)).params


def test_it_is_a_valid_compose_file() -> None:
    schema = json.loads((PROJECT / "tests/data/compose-spec.json").read_text())

    jsonschema.validate(COMPOSE, schema, cls=jsonschema.Draft202012Validator)


def test_everything_that_stays_up_is_watched_and_restarted() -> None:
    for name, service in SERVICES.items():
        if name not in RUN_ONCE:
            assert service["healthcheck"]["test"], name
            assert service["restart"] == "unless-stopped", name


def test_it_waits_for_what_exists() -> None:
    for service in SERVICES.values():
        for other, waited in service.get("depends_on", {}).items():
            once = waited["condition"] == "service_completed_successfully"
            assert once == (other in RUN_ONCE)


def test_every_queue_has_its_worker() -> None:
    queues = [queue for worker in WORKERS.values() for queue in parse_worker(argv(worker["command"]))["queues"].split(",")]

    assert sorted(queues) == sorted(demo.QUEUES.split(","))


def test_workers_are_watched_by_the_file_that_they_touch(tmp_path: Path) -> None:
    for worker in WORKERS.values():
        assert parse_worker(argv(worker["command"]))["alive"] == Path(f"{SCRATCH}/alive")
        watch = [sys.executable, *(word.replace(SCRATCH, str(tmp_path)) for word in worker["healthcheck"]["test"][2:])]
        alive = tmp_path / "alive"

        alive.unlink(missing_ok=True)
        assert subprocess.run(watch, stderr=subprocess.DEVNULL).returncode != 0
        alive.touch()
        assert subprocess.run(watch).returncode == 0
        os.utime(alive, (0, 0))
        assert subprocess.run(watch).returncode != 0


def test_beat_is_watched_by_the_file_it_writes(tmp_path: Path) -> None:
    beat = SERVICES["beat"]
    assert parse(argv(beat["command"]))["schedule"] == f"{SCRATCH}/beat-schedule"
    watch = [word.replace(SCRATCH, str(tmp_path)) for word in beat["healthcheck"]["test"][1:]]
    watch[0] = sys.executable

    assert subprocess.run(watch).returncode != 0
    schedule = tmp_path / "beat-schedule.dat"
    schedule.touch()
    assert subprocess.run(watch).returncode == 0
    os.utime(schedule, (0, 0))
    assert subprocess.run(watch).returncode != 0


def test_the_web_starts_in_production_with_what_it_is_handed() -> None:
    web = SERVICES["web"]
    command = argv(web["command"])
    filled_in = {
        "DATABASE_URL": os.environ["DATABASE_URL"],
        "REDIS_URL": os.environ["REDIS_URL"],
        "SEALING_KEYS": f"1:{key()}",
        "DIGEST_KEY": key(),
        "SECRET_KEY": secrets.token_urlsafe(50),
        "EMAIL_URL": "https://mail.example/",
    }
    handed = {name: value or filled_in.get(name) for name, value in web["environment"].items()}
    handed |= {name: filled_in.get(name, f"https://{name.lower()}.example/") for name, v in handed.items() if v and "$" in v}
    environment = {"PATH": os.environ["PATH"]} | {name: value for name, value in handed.items() if value}

    start = [sys.executable, "-m", *command, "--check-config"]
    done = subprocess.run(start, cwd=PROJECT, env=environment, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_the_web_is_asked_by_a_host_that_it_serves(status: int, healthy: bool) -> None:
    asked = []

    class Web(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers["Host"]))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Web) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        check = [word.replace(":8000", f":{server.server_port}") for word in SERVICES["web"]["healthcheck"]["test"][1:]]
        check[0] = sys.executable
        environment = os.environ | {"ALLOWED_HOSTS": ".prakerja.example,www.prakerja.example", "no_proxy": "*"}
        done = subprocess.run(check, env=environment, capture_output=True)
        server.shutdown()

    assert (done.returncode == 0) == healthy
    assert asked == [("/healthz", "prakerja.example")]


def test_management_commands_exist() -> None:
    run = [argv(service["command"]) for service in SERVICES.values() if "manage.py" in service.get("command", [])]

    assert run
    assert all(command[2] in get_commands() for command in run)


def test_no_secret_stands_in_it() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if re.search("KEY|PASSWORD|URL|SECRET", name):
                assert value is None or re.fullmatch(r"\$\{\w+:\?set it\}", value), name


def test_the_example_names_every_variable_and_no_value_of_a_secret() -> None:
    text = (PROJECT / "docker-compose.yml").read_text()
    handed_on = {
        name for service in SERVICES.values() for name, value in service.get("environment", {}).items() if value is None
    }
    required = set(re.findall(r"\$\{(\w+):\?", text))
    optional = set(re.findall(r"\$\{(\w+):-", text)) | handed_on

    example = (PROJECT / "env.example").read_text()

    assert set(re.findall(r"^(\w+)=$", example, re.M)) == required
    assert set(re.findall(r"^# (\w+)=", example, re.M)) == optional


def test_every_setting_of_the_environment_is_handed_on() -> None:
    settings = (PROJECT / "prakerja/settings.py").read_text()
    named = set(re.findall(r"env\.\w+\(\s*\"(\w+)\"", settings))
    development = {"DEBUG", "DEMO", "SANDBOX", "HINTS", "STATIC_ROOT", "PRAKERJA_STATE"}

    assert named - development <= SERVICES["web"]["environment"].keys()
