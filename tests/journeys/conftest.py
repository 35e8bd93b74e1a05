"""The site as in production (gunicorn, collected static files, a worker) on the test's own database, and browsers."""

import os
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from django.db import connection
from playwright.sync_api import Browser, sync_playwright

from tests.journeys.browser import ARGUMENTS, Applicant, Device, find_chromium
from tests.people import make_person
from tests.processes import running, wait_until, worker_arguments

GUNICORN = ["-m", "gunicorn", "prakerja.wsgi", "--worker-class=gthread", "--threads=4", "--log-level=warning"]


class Site(NamedTuple):
    url: str
    worker: subprocess.Popen[bytes]

    @contextmanager
    def resting(self) -> Iterator[None]:
        """The worker does nothing for so long: what takes a moment can be looked at."""
        os.killpg(self.worker.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self.worker.pid, signal.SIGCONT)


@pytest.fixture(scope="package")
def site(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Served by processes of its own: only so a page weighs what it weighs for people. They serve all tests in turn."""
    folder = tmp_path_factory.mktemp("site")
    address = f"127.0.0.1:{_free_port()}"
    environment = {"BASE_URL": f"http://{address}", "HINTS": "1", "STATIC_ROOT": str(folder / "static")}
    environment["DJANGO_ALLOW_ASYNC_UNSAFE"] = ""  # the tests' own: no server is deployed with it
    with ExitStack() as stack:

        def start(name: str, *arguments: str) -> subprocess.Popen[bytes]:
            return stack.enter_context(running(*arguments, log=folder / f"{name}.log", **environment))

        worker = start("worker", *worker_arguments("journeys"))
        assert start("static", "manage.py", "collectstatic", "--noinput").wait(60) == 0, _said(folder / "static.log")
        web = start("web", *GUNICORN, f"--bind={address}")
        wait_until(
            lambda: web.poll() is not None or _answers(f"http://{address}/healthz"), seconds=30, what="the site answers"
        )
        assert web.poll() is None, _said(folder / "web.log")
        yield Site(f"http://{address}", worker)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except OSError:
        return False


def _said(log: Path) -> str:
    return log.read_text()[-2000:]


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    path = find_chromium(os.environ)
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*ARGUMENTS, *as_root])
        yield browser
        browser.close()


@pytest.fixture
def device(chromium: Browser, site: Site, transactional_db: None, settings: Any) -> Iterator[Callable[..., Device]]:
    """Makes devices; at the end, none of them may have anything to complain of."""
    settings.HINTS, settings.BASE_URL = True, site.url
    devices: list[Device] = []

    def make(**options: Any) -> Device:
        devices.append(Device(chromium, site.url, **options))
        return devices[-1]

    yield make
    for made in devices:
        made.context.close()
    wait_until(_all_is_quiet, seconds=20, what="nobody works on the database any more")
    assert [complaint for made in devices for complaint in made.complaints] == []


def _all_is_quiet() -> bool:
    """The tables are emptied next: nobody may hold any of them."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
              AND (state <> 'idle' OR state_change > clock_timestamp() - interval '0.2 s')
            """
        )
        return bool(cursor.fetchone() == (0,))


@pytest.fixture
def applicant(device: Callable[..., Device]) -> Callable[..., Applicant]:
    """Makes people at devices of their own; each number is somebody else."""

    def make(number: int = 1, *, at: Device | None = None, email: str | None = None, **options: Any) -> Applicant:
        return Applicant(at or device(**options), make_person(number, **({"email": email} if email else {})))

    return make
