"""Over the wire: what tells that a provider has taken nothing, so that the next one may be asked at once."""

import pytest

from foundation.failover import Failover
from foundation.services import Unavailable
from foundation.sms import Delivery, Sms
from prakerja.mockservices import Faults, serving
from tests.contracts.conftest import ScriptedServer, http

pytestmark = pytest.mark.django_db

UNKNOWN = Delivery.UNKNOWN
NOBODY = "http://127.0.0.1:1"


def texts(count: int, first: int = 0) -> list[Sms]:
    return [Sms(f"{n}.{n:032x}", "+6281234567890", "123456") for n in range(first, first + count)]


def failover(*urls: str) -> Failover:
    return Failover([{"BACKEND": "foundation.sms.HttpSms", "OPTIONS": {"url": url}} for url in urls])


@pytest.mark.parametrize(
    ("status", "untouched"),
    [
        ("429 x", True),
        ("500 x", True),
        ("503 x", True),
        ("401 x", True),
        ("502 x", False),
        ("504 x", False),
        ("200 OK", False),
    ],
)
def test_a_status_tells_whether_the_provider_may_have_taken_anything(scripted: ScriptedServer, status: str, untouched: bool):
    scripted.script = lambda records: http(b"no", status=status)
    if untouched:
        with pytest.raises(Unavailable):
            failover(scripted.url, NOBODY).send(texts(1))
    else:
        assert failover(scripted.url, NOBODY).carry(texts(1)) == ([UNKNOWN], [1])


def test_a_line_that_is_cut_leaves_a_doubt_and_one_that_is_refused_does_not(scripted: ScriptedServer):
    scripted.script = lambda records: None

    assert failover(NOBODY, scripted.url).carry(texts(1)) == ([UNKNOWN], [2])


def test_no_message_is_lost_or_doubled_while_the_first_provider_is_down():
    with serving(Faults(outages=((0, 3600),))) as down, serving() as up:
        sms = failover(down.url, up.url)

        assert [sms.carry(texts(30, first=n))[1] for n in range(0, 300, 30)] == [[2] * 30] * 10

        assert len(up.services.delivered["sms"]) == 300
        assert not down.services.delivered["sms"]
