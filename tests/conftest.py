"""What every test may ask for. Services, clock and randomness are arguments everywhere, so nothing is ever patched."""

import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from django.db import connection
from django.utils import translation

from foundation.email import Mail, MockEmail
from foundation.sms import MockSms, Sms
from prakerja.embedded.postgres import Postgres
from prakerja.embedded.servers import Servers, default_state
from verification.dukcapil import MockDukcapil

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that starts the tests in the background has them ignore Ctrl-C, and whom they start would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Mailbox:
    """Services whose deliveries land here: every mail, every SMS, newest last."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []
        self.texts: list[Sms] = []
        self.email = MockEmail(deliver_to=lambda channel, messages: self.mails.extend(messages))
        self.sms = MockSms(deliver_to=lambda channel, messages: self.texts.extend(messages))
        self.dukcapil = MockDukcapil()

    def tokens(self) -> list[str]:
        """The tokens of the mailed links, in order."""
        return [re.search(r"/(?:surel|masuk)/([^/\s]+)/", mail.text)[1] for mail in self.mails]  # type: ignore[index]

    def codes(self) -> list[str]:
        return [re.search(r"\b(\d{6})\b", text.text)[1] for text in self.texts]  # type: ignore[index]


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def english() -> Iterator[None]:
    """What is written in the code is English; the pages speak Indonesian first."""
    with translation.override("en"):
        yield


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """After a test that commits, its tables are emptied, and decrees are kept from that unless one says so."""
    connection.settings_dict["OPTIONS"]["options"] += " -c prakerja.forgetting=on"


@pytest.fixture(scope="session")
def postgres() -> Postgres:
    """The run's PostgreSQL: where its programs are."""
    return Servers(default_state(), durable=False).postgres


Psql = Callable[[str], str]


@pytest.fixture
def psql(postgres: Postgres, transactional_db: None) -> Psql:
    """A hand at psql, in a session of its own: runs SQL, returns what it prints."""

    def run(sql: str) -> str:
        done = subprocess.run(
            [str(postgres.bin / "psql"), *database_arguments(), "--no-psqlrc", "-v", "ON_ERROR_STOP=1", "-At", "-c", sql],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


def database_arguments() -> Sequence[str]:
    """What psql and pg_dump need to find the test's own database."""
    settings = connection.settings_dict
    return ["-h", settings["HOST"], "-U", settings["USER"], "-d", settings["NAME"]]


def project_environment() -> dict[str, str]:
    """The environment in which a process of the project works on the test's own database and broker."""
    settings = connection.settings_dict
    return {
        **os.environ,
        "DATABASE_URL": f"postgres://{settings['USER']}@/{settings['HOST']}/{settings['NAME']}",
        "DJANGO_SETTINGS_MODULE": "prakerja.settings",
    }


ROOT = Path(__file__).resolve().parent.parent
