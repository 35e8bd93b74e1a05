"""What goes wrong with one service: by chance (seeded), by the clock, or because it is asked more than it allows."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple, TypeAlias

from prakerja.mockservices.knobs import knob, percent

#: Seconds; only differences count.
Clock: TypeAlias = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What goes wrong. Of a call that several things would befall, the first in this order is its lot: down, above the quota,
    500, 429, hung up on, nonsense. All calls wait."""

    latency_ms: float = knob("wait before each answer", unit="ms")
    slow_percent: float = percent("calls that wait longer")
    slow_ms: float = knob("so much longer", unit="ms")
    fail_percent: float = percent("calls answered 500")
    too_many_percent: float = percent("calls answered 429")
    wrong_schema_percent: float = percent("calls answered with nonsense")
    hang_up_percent: float = percent("calls done, but hung up on")
    flap_up_s: float = knob("flapping: up for", unit="s")
    flap_down_s: float = knob("flapping: then down for", unit="s")
    #: (start, length) in seconds since the server's start: 503 all the time.
    outages: Sequence[tuple[float, float]] = knob("outages, as start:seconds", default=())
    quota_calls: float = knob("allowed calls a second", lasting=True)
    quota_records: float = knob("allowed records a second", lasting=True)
    quota_burst_s: float = knob("that much of it at once", unit="s", default=2.0, lasting=True)
    seed: int = knob("seed of the chances", default=0, lasting=True)


class Fate(NamedTuple):
    """What becomes of one call."""

    status: int = 200
    retry_after: int | None = None
    above_quota: bool = False
    #: Seconds until it is answered.
    wait: float = 0.0
    hangs_up: bool = False
    #: Which nonsense, from 0 to 1.
    nonsense: float | None = None


class Trouble:
    """The faults of one service as time goes by. The n-th call's chances come from seed, service and n alone."""

    def __init__(self, service: str, faults: Faults, *, clock: Clock = time.monotonic) -> None:
        self._service = service
        self._clock = clock
        self._lock = threading.Lock()
        self._started = self._flapping_since = clock()
        self._outage_until = self._started
        self._calls = 0
        self._calls_left, self._records_left = _Bucket(), _Bucket()
        self.faults = faults

    def change(self, faults: Faults) -> None:
        with self._lock:
            if (faults.flap_up_s, faults.flap_down_s) != (self.faults.flap_up_s, self.faults.flap_down_s):
                self._flapping_since = self._clock()
            self.faults = faults

    def go_down(self, seconds: float) -> None:
        """An outage from now on; 0 seconds end one that was begun so."""
        self._outage_until = self._clock() + seconds

    def outage_left(self) -> float:
        """Seconds of the outage that was begun by `go_down`."""
        return max(0.0, self._outage_until - self._clock())

    def is_down(self) -> bool:
        return self._down(self.faults, self._clock()) is not None

    def fate(self, records: int) -> Fate:
        """What becomes of the next call, with so many records."""
        with self._lock:
            faults, now, number = self.faults, self._clock(), self._calls
            self._calls += 1
            too_early = self._take(faults, now, records)
        chance = random.Random(f"{faults.seed} {self._service} {number}")
        # All are drawn, whatever comes of the first: changing one fault leaves the others' calls the same.
        refused, bent, cut, slow = (chance.uniform(0, 100) for _ in range(4))
        nonsense = chance.random() if bent < faults.wrong_schema_percent else None
        wait = (faults.latency_ms + (faults.slow_ms if slow < faults.slow_percent else 0)) / 1000
        above_quota = too_early > 0
        if (down := self._down(faults, now)) is not None:
            return Fate(503, ceil(down) or None, above_quota, wait)
        if above_quota:
            return Fate(429, max(1, ceil(too_early)), above_quota, wait)
        if refused < faults.fail_percent:
            return Fate(500, wait=wait)
        if refused < faults.fail_percent + faults.too_many_percent:
            return Fate(429, 1, wait=wait)
        return Fate(wait=wait, hangs_up=cut < faults.hang_up_percent, nonsense=nonsense)

    def _down(self, faults: Faults, now: float) -> float | None:
        """Seconds until the service is back, 0 if it does not know itself; None if it is up."""
        if self._outage_until > now:
            return self._outage_until - now
        running = now - self._started
        for start, length in faults.outages:
            if start <= running < start + length:
                return start + length - running
        turn = faults.flap_up_s + faults.flap_down_s
        if faults.flap_down_s and (now - self._flapping_since) % turn >= faults.flap_up_s:
            return 0.0
        return None

    def _take(self, faults: Faults, now: float, records: int) -> float:
        """Seconds by which a call comes too early for the quota; 0 and it is counted. What is refused uses nothing up."""
        wanted = [(self._calls_left, faults.quota_calls, 1), (self._records_left, faults.quota_records, records)]
        too_early = max(bucket.wait(n, rate, faults.quota_burst_s, now) for bucket, rate, n in wanted)
        if not too_early:
            for bucket, _, n in wanted:
                bucket.left -= n
        return too_early


class _Bucket:
    """A quota: fills at `rate` a second and holds what comes in `burst` seconds."""

    def __init__(self) -> None:
        self.left = float("inf")
        self._at = 0.0

    def wait(self, n: int, rate: float, burst: float, now: float) -> float:
        """Seconds until it holds `n`, or all that it can hold if that is less."""
        if not rate:
            self.left, self._at = float("inf"), now
            return 0.0
        full = max(rate * burst, 1.0)
        self.left = min(full, self.left + rate * (now - self._at))
        self._at = now
        return max(0.0, min(n, full) - self.left - 1e-9) / rate
