"""The waves of a population: which fate each person of them has, and when they register, open their mail and type their code.

All in numbers, for any number of people at once: an array goes in, with an entry per person, and one comes out.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from math import gcd
from random import Random
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from prakerja.simulation.programme import END, Fate, WavePlan
from registrations.regions import WIB

#: With at most 30 million people, no product of these here leaves 64 bits.
Numbers: TypeAlias = NDArray[np.int64]
Bits: TypeAlias = NDArray[np.uint64]


def scattered(numbers: Numbers, salt: np.uint64) -> Bits:
    """64 bits each that look like chance (SplitMix64: Steele, Lea and Flood 2014); products wrap, as they must."""
    x = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + salt
    x = (x ^ x >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ x >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return x ^ x >> np.uint64(31)


def part(bits: Bits, start: int, width: int) -> Numbers:
    """So many of the bits, as numbers."""
    return (bits >> start & (1 << width) - 1).astype(np.int64)


# Time, in microseconds since 1970 -------------------------------------------------------------------------------------

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = 1_000_000
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR


def micro(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)


#: Instead of an instant.
NEVER = np.iinfo(np.int64).min


def datetimes(micros: Numbers) -> list[datetime | None]:
    """The instants; `NEVER` is None. (numpy makes None of its own "not a time", which is this very number.)"""
    return [since and _EPOCH + since for since in micros.astype("timedelta64[us]").tolist()]


#: How many people register in each hour of a day (WIB), in proportion: few at night, most in the morning and evening.
RHYTHM = (12, 8, 5, 4, 5, 9, 18, 32, 48, 60, 64, 60, 52, 54, 56, 52, 48, 42, 46, 56, 58, 48, 34, 20)


def _waits(*parts: tuple[int, int, int]) -> Numbers:
    """1,024 waiting times; each part (share of 1,024, from, to) is spread evenly over its range."""
    return np.array([low + (high - low) * i // share for share, low, high in parts for i in range(share)])


#: From registering to opening the link: mostly within the hour, nearly always within two days.
_OPENS_AFTER = _waits(
    (640, _MINUTE, _HOUR), (240, _HOUR, 12 * _HOUR), (104, 12 * _HOUR, 2 * _DAY), (40, 2 * _DAY, 10 * _DAY)
)
#: From opening the link to typing the code.
_TYPES_AFTER = _waits((860, _MINUTE, 10 * _MINUTE), (130, 10 * _MINUTE, 6 * _HOUR), (34, 6 * _HOUR, 3 * _DAY))
#: How long those are late who take their time until the wave has closed.
_LATE_BY = _waits((512, _MINUTE, _DAY), (512, _DAY, 10 * _DAY))

# Waves ----------------------------------------------------------------------------------------------------------------

#: The order in which a wave's slots are dealt out. First those who pass the registry, then those who fail there, then
#: those who never open their mail: so "by the close" is the first so many of each.
_ORDER = (
    Fate.VERIFIED,
    Fate.ATTEMPTS_USED_UP,
    Fate.NUMBER_DEAD,
    Fate.CODE_NEVER_TYPED,
    Fate.NIK_TAKEN,
    Fate.KK_MISMATCH,
    Fate.BIRTH_DATE_MISMATCH,
    Fate.NIK_UNKNOWN,
    Fate.MAILBOX_FULL,
    Fate.ADDRESS_UNKNOWN,
    Fate.MAIL_NEVER_OPENED,
)
_ORDER_CODES = np.array(_ORDER, dtype=np.int64)


class Waves:
    """All waves: who of them has which fate, and when.

    The people of a wave hold its slots, as many as there are people; slots too are numbered from 0 through all waves. Most
    attributes have an entry per wave, and `at` says for each person at which of these entries theirs is.
    """

    def __init__(self, seed: int, plans: Sequence[WavePlan]) -> None:
        self.numbers = _numbers(plan.number for plan in plans)
        self.registered = _numbers(plan.registered for plan in plans)
        self.first = np.cumsum(self.registered) - self.registered
        permutations = [_affine(plan.registered, f"{seed}/{plan.number}") for plan in plans]
        self.step, self.shift, self.back = (_numbers(entries) for entries in zip(*permutations, strict=True))
        #: Where each fate ends, of all waves one after the other.
        self.bounds = np.cumsum([plan.fates[fate] for plan in plans for fate in _ORDER])
        #: From the slot of somebody who registers twice to that of their second time.
        self.pairs_apart = self._count(plans, _ORDER[: _ORDER.index(Fate.NIK_TAKEN)])
        self.paired_until = self.first + self._count(plans, [Fate.NIK_TAKEN])
        self.verified_until = self.first + self._count(plans, [Fate.VERIFIED])
        self.passing_until = self.first + _numbers(plan.identity_verified for plan in plans)

        # What happens by the close; of other waves, everything happens by the end.
        self.end = micro(END)
        self.closes = _numbers(micro(plan.closes_at if plan.by_close else END) for plan in plans)
        until = [
            (
                close.identity_verified,
                plan.identity_verified + close.email_verified - close.identity_verified,
                close.phone_verified,
            )
            if (close := plan.by_close)
            else (plan.registered,) * 3
            for plan in plans
        ]
        self.pass_in_time_until, self.fail_in_time_until, self.type_in_time_until = (
            self.first + _numbers(entries) for entries in zip(*until, strict=True)
        )

        # The hours of all windows, one after the other: their edges, and how many have registered by each.
        hours = [_hours(plan) for plan in plans]
        firsts = self.first.tolist()
        self._hour_starts = _numbers(edge for edges, _ in hours for edge in edges)
        self._hour_firsts = _numbers(first + upto for first, (_, uptos) in zip(firsts, hours, strict=True) for upto in uptos)
        self._hour_lasts: Numbers = np.diff(self._hour_starts)
        self._hour_people: Numbers = np.diff(self._hour_firsts)

    @staticmethod
    def _count(plans: Sequence[WavePlan], fates: Sequence[Fate]) -> Numbers:
        return _numbers(sum(plan.fates[fate] for fate in fates) for plan in plans)

    def number_of(self, wave: int, index: int) -> int:
        """The number of person `index` of a wave, which has a number of its own."""
        [at] = np.flatnonzero(self.numbers == wave)
        if not 0 <= index < self.registered[at]:
            raise IndexError(index)
        return int(self.first[at]) + index

    def at(self, numbers: Numbers) -> Numbers:
        """The waves of these people, as positions."""
        return np.searchsorted(self.first, numbers, side="right").astype(np.int64) - 1

    def slots(self, at: Numbers, numbers: Numbers) -> Numbers:
        """Where in the order of fates these people are: a permutation, nearly even over the window."""
        first = self.first[at]
        return first + ((numbers - first) * self.step[at] + self.shift[at]) % self.registered[at]

    def at_slots(self, at: Numbers, slots: Numbers) -> Numbers:
        """Who has these slots: the way back."""
        first = self.first[at]
        return first + (slots - first - self.shift[at]) * self.back[at] % self.registered[at]

    def fates(self, slots: Numbers) -> Numbers:
        return _ORDER_CODES[np.searchsorted(self.bounds, slots, side="right") % len(_ORDER)]

    def instants(self, numbers: Numbers) -> Numbers:
        """When these people register; the later, the higher their number."""
        hour = np.searchsorted(self._hour_firsts, numbers, side="right") - 1
        lasts, people = self._hour_lasts[hour], self._hour_people[hour]
        return self._hour_starts[hour] + (2 * (numbers - self._hour_firsts[hour]) + 1) * lasts // (2 * people)

    def opens(self, at: Numbers, slots: Numbers, registered: Numbers, chance: Numbers) -> Numbers:
        """When they open the mail, if they do; `chance` is below 1,024."""
        closes = self.closes[at]
        passing = slots < self.passing_until[at]
        in_time = slots < np.where(passing, self.pass_in_time_until[at], self.fail_in_time_until[at])
        return later(
            np.where(in_time, registered, closes),
            np.where(in_time, _OPENS_AFTER[chance], _LATE_BY[chance]),
            np.where(in_time, closes, self.end),
        )

    def types(self, at: Numbers, slots: Numbers, opened: Numbers, chance: Numbers) -> Numbers:
        """When they type the code, if they do; `chance` is below 1,024."""
        closes = self.closes[at]
        verified = slots < self.verified_until[at]
        late = verified & (slots >= self.type_in_time_until[at])
        return later(
            np.where(late, np.maximum(opened, closes), opened),
            np.where(late, _LATE_BY[chance], _TYPES_AFTER[chance]),
            np.where(verified & ~late, closes, self.end),
        )


def _numbers(entries: Iterable[int]) -> Numbers:
    return np.fromiter(entries, dtype=np.int64)


def later(start: Numbers, wait: Numbers, limit: Numbers) -> Numbers:
    """`wait` after `start`; but if that is not before `limit`, somewhere between the two."""
    then = start + wait
    return np.where(then < limit, then, start + (limit - start) * (1 + wait % 1020) // 1021)


def _affine(size: int, seed: str) -> tuple[int, int, int]:
    """Step, shift and inverse step of the permutation i -> i * step + shift (mod size).

    Near the golden section, so that neighbours come to lie far apart and every stretch is even.
    """
    if size < 2:
        return 1, 0, 1
    rng = Random(seed)
    step = size * 618_034 // 1_000_000 + rng.randrange(size // 1000 + 1)
    while gcd(step, size) != 1:
        step += 1
    return step, rng.randrange(size), pow(step, -1, size)


def _hours(plan: WavePlan) -> tuple[list[int], list[int]]:
    """The hours of a wave's window, as their edges, and how many have registered by each edge."""
    start, end = micro(plan.opening.registers_from), micro(plan.opening.registers_until)
    edges = [*range(start, end, _HOUR), end]
    midnight = plan.opening.registers_from.astimezone(WIB).hour
    weights = list(accumulate((RHYTHM[(midnight + i) % 24] for i in range(len(edges) - 1)), initial=0))
    return edges, [plan.registered * weight // weights[-1] for weight in weights]
