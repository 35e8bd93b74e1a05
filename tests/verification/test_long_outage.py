"""Dukcapil is down for four hours, in a time that the test lets pass: nobody is turned away, and nobody storms it afterwards."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from django.db import connection

from foundation.services import FAILURES_TO_OPEN, PROBE_SECONDS, Unavailable
from foundation.work import enqueue, outstanding
from registrations.models import Registrant
from registrations.stages import DropOff, Stage
from tests.people import make_registrants
from verification import identity
from verification.dukcapil import Identity, MockDukcapil, Verdict

#: In one long transaction, nothing of what passes away would go.
pytestmark = pytest.mark.django_db(transaction=True)

HOURS, STEP = 4, 5.0
RATE = 20
WAITING, ARRIVING = 300, 10


class Registry:
    """Notes when it is asked, and about how many."""

    def __init__(self) -> None:
        self.now = 0.0
        self.down = True
        self.calls: list[tuple[float, int]] = []

    def match(self, identities: Sequence[Identity]) -> list[Verdict]:
        self.calls.append((self.now, len(identities)))
        if self.down:
            raise Unavailable("down")
        return MockDukcapil().match(identities)

    def pass_time(self, seconds: float) -> None:
        """All that the database waits for comes nearer, as if so many seconds had passed."""
        self.now += seconds
        with connection.cursor() as cursor:
            cursor.execute("UPDATE foundation_work SET due_at = due_at - %s * interval '1 s'", [seconds])
            cursor.execute(
                "UPDATE foundation_servicestate SET probe_at = probe_at - %s * interval '1 s',"
                " refilled_at = refilled_at - %s * interval '1 s'",
                [seconds, seconds],
            )


def test_four_hours_without_dukcapil(settings):
    settings.SERVICES = settings.SERVICES | {"dukcapil": settings.SERVICES["dukcapil"] | {"RATE": RATE}}
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

    opened = next(at for number, (at, _) in enumerate(registry.calls, start=1) if number == FAILURES_TO_OPEN)
    probes = [(at, count) for at, count in registry.calls if at > opened]
    assert len(probes) > 1000, "it was tried all the time"
    assert all(count == 1 for _, count in probes), "with one person each time"
    assert all(later - earlier >= PROBE_SECONDS - STEP / 2 for (earlier, _), (later, _) in pairwise(probes))
    assert not Registrant.objects.exclude(drop_off=DropOff.NONE).exists(), "nobody is turned away by a fault"

    registry.down, returned = False, registry.now
    registry.calls.clear()
    while outstanding(["identity"]):
        assert registry.now < returned + 60 + (WAITING + 24 * ARRIVING) / RATE
        for _ in range(2):
            identity.check_batch(dukcapil=registry, size=100)
        registry.pass_time(1.0)

    assert Registrant.objects.filter(stage=Stage.IDENTITY_VERIFIED).count() == WAITING + 24 * ARRIVING
    by_second: dict[float, int] = {}
    for at, count in registry.calls:
        by_second[at] = by_second.get(at, 0) + count
    assert max(by_second.values()) <= RATE, "no storm: never above the quota"
    at_full_rate = next(at for at, count in sorted(by_second.items()) if count >= RATE / 2)
    assert at_full_rate - returned <= 60
