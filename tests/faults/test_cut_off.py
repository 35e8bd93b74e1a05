"""A second host whose network falls silent in the middle of a batch: database and broker out of reach, nobody says goodbye."""

import time

import pytest

from foundation.models import MockMessage, SetAside, Work
from foundation.work import outstanding, sweep
from registrations import funnel
from registrations.intake import register
from registrations.models import Registrant
from registrations.stages import Stage
from tests.faults.host import available, plug_in, unplug
from tests.people import make_sign_up
from tests.processes import running, wait_until

LEASE = 10.0
PEOPLE = 200
#: The lease, and a sweep. The database lets go of a client that has fallen silent after half a lease.
LIMIT = 60.0

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not available(), reason="needs network namespaces, which this machine does not let us make"),
]


@pytest.fixture(autouse=True)
def hints(settings):
    settings.HINTS = True


@pytest.mark.parametrize("locks", [False, True], ids=["asking a service", "with people locked"])
def test_a_host_that_is_cut_off_in_the_middle_of_a_batch(tmp_path, locks, record_property):
    noted = tmp_path / "mail.txt"
    noted.touch()
    environment = {
        "LEASE_SECONDS": str(LEASE),
        "HINTS": "1",
        "SLOW_EMAIL_LOG": str(noted),
        "SLOW_EMAIL_SECONDS": "3",
        "SLOW_EMAIL_LOCKS": "1" if locks else "",
        "DJANGO_SETTINGS_MODULE": "tests.faults.slow_settings",
    }
    register([make_sign_up(number) for number in range(1, PEOPLE + 1)])

    def worker(name):
        return "manage.py", "worker", "--name", name, "--alive", str(tmp_path / name)

    with running("-m", "tests.faults.host", *worker("away"), log=tmp_path / "away.log", **environment) as away:
        wait_until(lambda: noted.read_text() != "", seconds=60, what="the host has a batch in hand")
        unplug(away)
        started = time.monotonic()
        assert not MockMessage.objects.exists(), "cut off in the middle"

        with running(*worker("here"), log=tmp_path / "here.log", **environment | {"SLOW_EMAIL_SECONDS": "0"}):
            wait_until(lambda: outstanding(["email"]) == 0, seconds=LIMIT, what="another host has done the batch")
            record_property("seconds", f"{time.monotonic() - started:.1f}")
        assert MockMessage.objects.filter(channel="email").count() == PEOPLE, "everybody was written to, once"

        plug_in(away)
        register([make_sign_up(number) for number in range(PEOPLE + 1, 2 * PEOPLE + 1)])
        sweep()
        wait_until(lambda: outstanding(["email"]) == 0, seconds=LIMIT, what="the host works again")
        wait_until(lambda: not Work.objects.exclude(token=None).exists(), seconds=LIMIT, what="it has settled")

    assert MockMessage.objects.filter(channel="email").count() == 2 * PEOPLE, "what it had in hand came to nothing"
    assert Registrant.objects.filter(stage=Stage.REGISTERED, drop_off=0).count() == 2 * PEOPLE
    assert not SetAside.objects.exists()
    assert funnel.recount().differences == []
