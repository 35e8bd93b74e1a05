"""Dukcapil is down for four hours, or up and down by turns, in a time that the test lets pass: nobody is turned away, nobody
storms it afterwards, and who has waited longest comes first.
"""

import time
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import pytest

from foundation.services import FAILURES_TO_OPEN, PROBE_SECONDS, Unavailable
from foundation.work import enqueue, outstanding
from registrations.models import Registrant
from registrations.stages import DropOff, Stage
from tests.clock import pass_time
from tests.people import make_registrants
from verification import identity
from verification.dukcapil import Identity, MockDukcapil, Verdict

#: In one long transaction, nothing of what passes away would go.
pytestmark = pytest.mark.django_db(transaction=True)

HOURS, STEP = 4, 5.0
RATE = 20
WAITING, ARRIVING = 300, 2
#: Seconds that it is up, and then down, when it flaps; and how often.
UP, DOWN, TURNS = 20, 40, 8


class Registry:
    """Notes when it is asked, and about whom."""

    def __init__(self) -> None:
        self.now = 0.0
        self.down = True
        #: Of each instant, how many seconds it lasted in truth: the quota goes on then, too.
        self.lasted: dict[float, float] = {}
        self._began = time.monotonic()
        self.calls: list[tuple[float, list[int]]] = []

    def match(self, identities: Sequence[Identity]) -> list[Verdict]:
        self.calls.append((self.now, [int(identity.reference) for identity in identities]))
        if self.down:
            raise Unavailable("down")
        return MockDukcapil().match(identities)

    def pass_time(self, seconds: float) -> None:
        """All that the database waits for comes nearer, as if so many seconds had passed."""
        self.lasted[self.now] = time.monotonic() - self._began
        self.now += seconds
        self._began = time.monotonic()
        pass_time(seconds)

    def asked(self) -> Counter[float]:
        """About how many it was asked at each instant: never more than the quota."""
        asked: Counter[float] = Counter()
        for at, people in self.calls:
            asked[at] += len(people)
        assert all(count <= RATE * (1 + self.lasted[at]) for at, count in asked.items())
        return asked


@pytest.fixture(autouse=True)
def quota(settings):
    settings.SERVICES = settings.SERVICES | {"dukcapil": settings.SERVICES["dukcapil"] | {"RATE": RATE}}


def test_four_hours_without_dukcapil():
    people = iter(make_registrants(WAITING + 24 * ARRIVING, stage=Stage.EMAIL_VERIFIED))

    def arrive(count):
        enqueue("identity", [next(people) for _ in range(count)], hint=False)

    registry = Registry()
    arrive(WAITING)
    while registry.now < HOURS * 3600:
        identity.check_batch(dukcapil=registry, size=100)
        registry.pass_time(STEP)
        if registry.now % 600 == 0:
            arrive(ARRIVING)
            identity.check_batch(dukcapil=registry, size=100)  # a second worker at the same time
            identity.check_batch(dukcapil=registry, size=100)

    opened = registry.calls[FAILURES_TO_OPEN - 1][0]
    probes = [(at, people) for at, people in registry.calls if at > opened]
    assert len(probes) > 1000, "it was tried all the time"
    assert all(len(people) == 1 for _, people in probes), "with one person each time"
    assert all(later - earlier >= 10 for (earlier, _), (later, _) in pairwise(probes)), "and no more often than every 10 s"
    assert not Registrant.objects.exclude(drop_off=DropOff.NONE).exists(), "nobody is turned away by a fault"

    registry.down, returned = False, registry.now
    registry.calls.clear()
    while outstanding(["identity"]):
        assert registry.now < returned + 60 + (WAITING + 24 * ARRIVING) / RATE
        for _ in range(2):
            identity.check_batch(dukcapil=registry, size=100)
        registry.pass_time(1.0)

    assert Registrant.objects.filter(stage=Stage.IDENTITY_VERIFIED).count() == WAITING + 24 * ARRIVING
    at_full_rate = min(at for at, count in registry.asked().items() if count >= RATE / 2)
    assert at_full_rate - returned <= 60


def test_a_dukcapil_that_flaps():
    ids = make_registrants(TURNS * UP * RATE // 2, stage=Stage.EMAIL_VERIFIED)
    for start in range(0, len(ids), 200):
        enqueue("identity", ids[start : start + 200], wait=start - len(ids), hint=False)

    registry = Registry()
    for second in range(TURNS * (UP + DOWN)):
        registry.down = second % (UP + DOWN) >= UP
        for _ in range(2):
            identity.check_batch(dukcapil=registry, size=100)
        registry.pass_time(1.0)

    assert not Registrant.objects.exclude(drop_off=DropOff.NONE).exists(), "nobody is turned away by a fault"
    verified = Registrant.objects.filter(stage=Stage.IDENTITY_VERIFIED).count()
    assert verified == len(ids), "half of the time that it was up has done for everybody"
    assert registry.asked(), "and no storm, whenever it comes back"
    for turn in range(TURNS):
        down = turn * (UP + DOWN) + UP
        calls = [at for at, _ in registry.calls if down <= at < down + DOWN]
        assert len(calls) <= FAILURES_TO_OPEN + DOWN / PROBE_SECONDS, "each time it is down, it is soon left alone"
    in_vain = {id for at, people in registry.calls if at % (UP + DOWN) >= UP for id in people}
    at_once = [id for _, people in registry.calls for id in people if id not in in_vain]
    assert len(at_once) > 100
    assert at_once == sorted(at_once), "who has waited longest comes first"
