"""What becomes of those whom the decrees name, until the briefing of 15 September 2020: how many, wave by wave, and when.

The sums are published, and so are those of 19 May. How they are spread over the waves and over the gates, and the days on
which people buy, complete and are paid, are our assumption, all of it in the tables of this module. Pure functions, as in
`programme` and `waves`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import IntEnum
from fractions import Fraction
from itertools import pairwise
from random import Random
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from prakerja.simulation import programme
from prakerja.simulation.programme import END, Scale, by_reason, half_up, wib, within
from prakerja.simulation.waves import NEVER, RHYTHM, Bits, Numbers, datetimes, later, micro, part, scattered
from registrations.regions import WIB
from registrations.stages import DropOff, Stage

# How many --------------------------------------------------------------------------------------------------------------

#: Of waves 1 to 3: who had bought nothing in time. Published are 189,436 revoked of waves 1 to 4 (25 September), here shared
#: by the waves' size, rounded down; wave 4's time is not over at the briefing.
REVOKED = 87_101
EARLY = (1, 2, 3)


class Share(NamedTuple):
    """Of a wave's recipients, so many reach each rung. An assumption, but for the sums."""

    bought: int
    completed: int
    received: int


SHARES: Mapping[int, Share] = {
    1: Share(146_607, 140_000, 133_000),
    2: Share(251_294, 237_000, 224_000),
    3: Share(195_916, 183_000, 173_000),
    4: Share(695_000, 590_000, 430_000),
    5: Share(725_000, 500_000, 220_000),
    6: Share(660_000, 240_000, 20_000),
    7: Share(526_183, 110_000, 0),
}
#: On 19 May, as published: 530,000, 350,000 and 300,000. How they are spread over the three waves is an assumption.
BY_MAY: Mapping[int, Share] = {
    1: Share(142_000, 125_000, 115_000),
    2: Share(230_000, 150_000, 130_000),
    3: Share(158_000, 75_000, 55_000),
}


class Course(IntEnum):
    """How far a recipient gets, and why no further: in the order in which a wave's places are dealt out."""

    RECEIVED = 1
    #: Everything is right, and the payout waits to be approved.
    UNDER_WAY = 2
    CERTIFICATE_MISSING = 3
    NOT_REVIEWED = 4
    NO_ACCOUNT = 5
    ACCOUNT_OF_ANOTHER = 6
    ACCOUNT_INACTIVE = 7
    ACCOUNT_NOT_UPGRADED = 8
    ACCOUNT_PHONE_DIFFERS = 9
    ACCOUNT_FULL = 10
    #: Bought, and not completed yet.
    LEARNING = 11
    #: Bought, and given back.
    CANCELLED = 12
    #: Of waves 1 to 3: revoked.
    NOTHING_BOUGHT = 13

    @property
    def stage(self) -> Stage:
        """The rung on which the recipient ends up."""
        if self is Course.RECEIVED:
            return Stage.INCENTIVE_RECEIVED
        if self <= Course.ACCOUNT_FULL:
            return Stage.TRAINING_COMPLETED
        return Stage.SELECTED if self is Course.NOTHING_BOUGHT else Stage.TRAINING_BOUGHT

    @property
    def drop_off(self) -> DropOff:
        """The reason that is then found with the recipient; who has bought nothing may be revoked besides."""
        return _REASONS.get(self, DropOff.NONE)


_REASONS = {
    Course.CERTIFICATE_MISSING: DropOff.CERTIFICATE_MISSING,
    Course.NOT_REVIEWED: DropOff.NOT_REVIEWED,
    Course.NO_ACCOUNT: DropOff.NO_ACCOUNT,
    Course.ACCOUNT_OF_ANOTHER: DropOff.ACCOUNT_OF_ANOTHER,
    Course.ACCOUNT_INACTIVE: DropOff.ACCOUNT_INACTIVE,
    Course.ACCOUNT_NOT_UPGRADED: DropOff.ACCOUNT_NOT_UPGRADED,
    Course.ACCOUNT_PHONE_DIFFERS: DropOff.ACCOUNT_PHONE_DIFFERS,
    Course.ACCOUNT_FULL: DropOff.ACCOUNT_FULL,
    Course.CANCELLED: DropOff.PURCHASE_CANCELLED,
}

#: Who has completed and received nothing. Published are the sum, and 34,000 held up by an account of another NIK (June);
#: the rest of the split is an assumption.
UNPAID: Mapping[Course, int] = {
    Course.UNDER_WAY: 120_000,
    Course.CERTIFICATE_MISSING: 120_000,
    Course.NOT_REVIEWED: 190_000,
    Course.NO_ACCOUNT: 96_000,
    Course.ACCOUNT_OF_ANOTHER: 34_000,
    Course.ACCOUNT_INACTIVE: 40_000,
    Course.ACCOUNT_NOT_UPGRADED: 130_000,
    Course.ACCOUNT_PHONE_DIFFERS: 60_000,
    Course.ACCOUNT_FULL: 10_000,
}
#: Who has bought and not completed: an assumption.
UNFINISHED: Mapping[Course, int] = {Course.LEARNING: 1_140_000, Course.CANCELLED: 60_000}


@dataclass(frozen=True, slots=True)
class RecipientPlan:
    """How many recipients of one wave get how far. Each rung counts those above it too."""

    wave: int
    selected: int
    bought: int
    completed: int
    received: int
    #: Everybody, by course: the counts add up to `selected`.
    courses: Mapping[Course, int]
    #: So many by the end of 19 May; nobody of a later wave.
    by_may: Share

    @property
    def revoked(self) -> int:
        return self.selected - self.bought if self.wave in EARLY else 0


def plan(scale: Scale, waves: Iterable[int] = programme.WAVES) -> list[RecipientPlan]:
    """What the published figures times `scale` (exact: no float) mean for the recipients of each of `waves` that was drawn."""
    scale = Fraction(scale)
    selected = programme.accepted(scale)
    numbers = list(selected)
    shares = [SHARES[wave] for wave in numbers]

    sums = [half_up(total * scale) for total in (programme.TRAINING_BOUGHT, programme.TRAINING_COMPLETED)]
    bought = _bought(selected, sums[0], half_up(REVOKED * scale))
    completed = within(sums[1], [share.completed for share in shares], bought)
    received = within(half_up(programme.INCENTIVE_RECEIVED * scale), [share.received for share in shares], completed)
    by_may = _by_may(scale, dict(zip(numbers, zip(bought, received, strict=True), strict=True)))
    unpaid = by_reason([all - paid for all, paid in zip(completed, received, strict=True)], UNPAID)
    unfinished = by_reason([all - done for all, done in zip(bought, completed, strict=True)], UNFINISHED)

    wanted = set(waves)
    return [
        RecipientPlan(
            wave,
            selected[wave],
            bought[i],
            completed[i],
            received[i],
            {Course.RECEIVED: received[i]} | unpaid[i] | unfinished[i] | {Course.NOTHING_BOUGHT: selected[wave] - bought[i]},
            by_may.get(wave, Share(0, 0, 0)),
        )
        for i, wave in enumerate(numbers)
        if wave in wanted
    ]


def _bought(selected: Mapping[int, int], total: int, revoked: int) -> list[int]:
    """How many of each wave buy a training: of the first three, all who are not revoked."""
    early, late = [selected[wave] for wave in EARLY], [selected[wave] for wave in selected if wave not in EARLY]
    # With a handful of people, rounding could leave more, or fewer, buyers than there are people for.
    revoked = min(max(revoked, sum(early) - total), sum(early) + sum(late) - total, sum(early))
    without = within(revoked, early, early)
    buying = [all - lost for all, lost in zip(early, without, strict=True)]
    weights = [SHARES[wave].bought for wave in selected if wave not in EARLY]
    return [*buying, *within(total - sum(buying), weights, late)]


def _by_may(scale: Fraction, finals: Mapping[int, tuple[int, int]]) -> dict[int, Share]:
    """Rung by rung: no more than in the end, and none without the rung below. Who has completed by then is paid in the end."""
    shares = [BY_MAY[wave] for wave in EARLY]
    totals = [half_up(total * scale) for total in map(sum, zip(*shares, strict=True))]
    weights = [list(column) for column in zip(*shares, strict=True)]
    in_the_end, paid = ([finals[wave][i] for wave in EARLY] for i in (0, 1))
    bought = within(min(totals[0], sum(in_the_end)), weights[0], in_the_end)
    most = [min(pair) for pair in zip(bought, paid, strict=True)]
    received = within(min(totals[2], sum(most)), weights[2], most)
    room = [upto - sure for upto, sure in zip(most, received, strict=True)]
    waiting = [done - sure for done, sure in zip(weights[1], weights[2], strict=True)]
    more = within(min(max(totals[1] - sum(received), 0), sum(room)), waiting, room)
    completed = [sure + extra for sure, extra in zip(received, more, strict=True)]
    return {wave: Share(*found) for wave, *found in zip(EARLY, bought, completed, received, strict=True)}


# When ------------------------------------------------------------------------------------------------------------------

#: When each wave was told: published (16 and 21 April, 16 August, 3 September) or derived (29 April, 28 August); those of
#: waves 3 and 7 are not confirmed. The simulated office announces some days earlier: until then, nobody has read it.
TOLD: Mapping[int, datetime] = {
    1: wib(4, 21, 8),
    2: wib(4, 29, 8),
    3: wib(5, 3, 8),
    4: wib(8, 16, 8),
    5: wib(8, 28, 8),
    6: wib(9, 3, 12),
    7: wib(9, 10, 7),
}
DAYS_TO_BUY = 30

#: When payouts are approved and sent, and at last only put together. An assumption.
PAYDAYS = tuple(
    wib(month, day, 10)
    for month, day in (
        *((5, 11), (5, 18), (6, 1), (6, 15), (6, 29), (7, 13), (7, 27)),
        *((8, 10), (8, 24), (8, 31), (9, 4), (9, 8), (9, 11)),
    )
)
LAST_PROPOSAL = wib(9, 14, 10)

_MAY_ENDS = wib(5, 19, 24)
_LAST_DAY_ENDS = wib(9, 14, 24)


class Window(NamedTuple):
    """From one instant on and before another one."""

    start: datetime
    end: datetime


class Segment(NamedTuple):
    """Recipients of one wave who do the same in the same days; the first of them first, in everything."""

    wave: int
    course: Course
    people: int
    #: None: never.
    buys: Window | None = None
    completes: Window | None = None
    #: When the last thing is done that the registrant does: a review, or linking an account.
    ready: Window | None = None


def deadline(wave: int) -> datetime:
    """Before this instant, a wave's recipients must have bought a training."""
    return datetime.combine(TOLD[wave].astimezone(WIB).date() + timedelta(days=DAYS_TO_BUY + 1), time(), WIB)


def segments(plan: RecipientPlan) -> Iterator[Segment]:
    """All recipients of a wave, by course; of waves 1 to 3, those who have climbed by 19 May come first in each rung."""
    of_wave = _early if plan.wave in EARLY else _late
    position = 0
    for course in Course:
        for people in _pieces(position, position + plan.courses[course], plan.by_may):
            yield Segment(plan.wave, course, people, *of_wave(plan, course, position))
            position += people


def _pieces(start: int, end: int, by_may: Share) -> list[int]:
    """The people from `start` to `end`, cut where a rung of 19 May ends."""
    cuts = [start, *sorted(cut for cut in set(by_may) if start < cut < end), end]
    return [upto - since for since, upto in pairwise(cuts) if upto > since]


_Windows = tuple[Window | None, Window | None, Window | None]


def _early(plan: RecipientPlan, course: Course, position: int) -> _Windows:
    if course is Course.NOTHING_BOUGHT:
        return None, None, None
    told, by_may = TOLD[plan.wave], plan.by_may
    if position < by_may.received:
        return Window(told, wib(5, 10)), Window(wib(5, 5), wib(5, 14)), Window(wib(5, 7), wib(5, 17))
    if position < by_may.completed:
        return Window(told, wib(5, 14)), Window(wib(5, 10), _MAY_ENDS), Window(_MAY_ENDS, wib(5, 30))
    buys = Window(told, _MAY_ENDS) if position < by_may.bought else Window(_MAY_ENDS, deadline(plan.wave))
    match course:
        case Course.RECEIVED:
            return buys, Window(wib(5, 22), wib(7, 20)), Window(wib(5, 24), wib(7, 31))
        case Course.UNDER_WAY:
            return buys, Window(wib(6, 1), wib(9, 1)), _AFTER_THE_LAST_PAYDAY
        case _ if course.stage is Stage.TRAINING_COMPLETED:
            return buys, Window(wib(5, 25), wib(9, 1)), Window(wib(6, 1), wib(9, 10))
    return buys, None, None


_AFTER_THE_LAST_PAYDAY = Window(wib(9, 11, 12), wib(9, 14))

#: Of waves 4 to 7: until when those buy, complete and are ready who are paid; and those who are not, for a shut gate.
_PAID: Mapping[int, tuple[datetime, datetime, datetime]] = {
    4: (wib(9, 2), wib(9, 7), wib(9, 10)),
    5: (wib(9, 5), wib(9, 8), wib(9, 10)),
    6: (wib(9, 7), wib(9, 9), wib(9, 10)),
    7: (wib(9, 10, 12), wib(9, 10, 20), wib(9, 11)),
}
_HELD_UP: Mapping[int, tuple[datetime, datetime, datetime]] = {
    4: (wib(9, 5), wib(9, 11), wib(9, 14)),
    5: (wib(9, 8), wib(9, 11), wib(9, 14)),
    6: (wib(9, 9), wib(9, 12), wib(9, 14)),
    7: (wib(9, 11), wib(9, 13), wib(9, 14)),
}
#: The shortest training, and the shortest wait for a review or an account, at these waves.
_SHORTEST: Mapping[int, timedelta] = {
    4: timedelta(days=2),
    5: timedelta(days=2),
    6: timedelta(days=1),
    7: timedelta(hours=5),
}


def _late(plan: RecipientPlan, course: Course, _position: int) -> _Windows:
    told, shortest = TOLD[plan.wave], _SHORTEST[plan.wave]
    if course is Course.NOTHING_BOUGHT:
        return None, None, None
    if course.stage is Stage.TRAINING_BOUGHT:
        return Window(told, _LAST_DAY_ENDS), None, None
    buys, completes, ready = (_PAID if course is Course.RECEIVED else _HELD_UP)[plan.wave]
    last = _AFTER_THE_LAST_PAYDAY if course is Course.UNDER_WAY else Window(told + 2 * shortest, ready)
    return Window(told, buys), Window(told + shortest, completes), last


# Who -------------------------------------------------------------------------------------------------------------------

#: One in so many, a little more than one in a hundred, goes by the API over HTTP in everything; the others by the functions that
#: it calls.
ONE_BY_API = 99

#: Of 128: BNI, OVO, LinkAja and GoPay paid from the start; 75 to 78 % chose e-money. Their shares are an assumption.
_PAYERS = np.array([*["bni"] * 30, *["ovo"] * 44, *["gopay"] * 36, *["linkaja"] * 18], dtype=object)
_COURSES = np.array([None, *Course], dtype=object)
_EVEN_OF_DAY = np.cumsum([0, *RHYTHM]) / sum(RHYTHM)
_DAY = 86_400
_JAKARTA = 7 * 3600
_END = micro(END) // 10**6


class Life(NamedTuple):
    """What one recipient does. No instant: never."""

    number: int
    course: Course
    bought_at: datetime | None
    redeemed_at: datetime | None
    cancelled_at: datetime | None
    completed_at: datetime | None
    reviewed_at: datetime | None
    linked_at: datetime | None
    payer: str
    rating: int
    score: int
    #: What looks like chance: which training, and which words.
    chance: int


#: Payday by payday: what is done before the first one, before the second, and so on; before the last batches are put together;
#: and after that.
ERAS = (*PAYDAYS, LAST_PROPOSAL, END)
_ERA_ENDS = np.array([micro(end) // 10**6 for end in ERAS])


class Recipients:
    """All recipients of some waves, numbered from 0, wave by wave, as `segments` has them."""

    def __init__(self, seed: int, plans: Sequence[RecipientPlan]) -> None:
        self.plans = list(plans)
        self.segments = [segment for plan in plans for segment in segments(plan)]
        self._ends = np.cumsum([segment.people for segment in self.segments], dtype=np.int64)
        self.size = int(self._ends[-1]) if self.segments else 0
        self._salt = np.uint64(Random(f"{seed}/recipients").getrandbits(64))
        self._people = np.array([segment.people for segment in self.segments], dtype=np.int64)
        self._courses = np.array([segment.course for segment in self.segments], dtype=np.int64)
        self._told = np.array([micro(TOLD[segment.wave]) // 10**6 for segment in self.segments], dtype=np.int64)
        self._buys, self._completes, self._ready = map(
            _Edges, zip(*((each.buys, each.completes, each.ready) for each in self.segments), strict=True)
        )

    def firsts(self) -> list[tuple[RecipientPlan, int]]:
        """Each wave, with the number of its first recipient."""
        ends = np.cumsum([plan.selected for plan in self.plans]).tolist()
        return [(plan, end - plan.selected) for plan, end in zip(self.plans, ends, strict=True)]

    def lives(self, numbers: Sequence[int]) -> list[Life]:
        """What these recipients do, one for one. Raises `IndexError` if one of them is nobody's."""
        block = self._existing(numbers)
        courses, bits, micros = self._acts(block)
        fraction = part(bits, 0, 16) * 15  # below a second: the same of all that somebody does
        return list(
            map(
                Life._make,
                zip(
                    block.tolist(),
                    _COURSES[courses].tolist(),
                    *(datetimes(np.where(seconds == NEVER, NEVER, seconds * 10**6 + fraction)) for seconds in micros),
                    _PAYERS[part(bits, 16, 7)].tolist(),
                    _RATINGS[part(bits, 24, 5)].tolist(),
                    (50 + part(bits, 29, 6) % 51).tolist(),
                    _chance(bits).tolist(),
                    strict=True,
                ),
            )
        )

    def eras(self, numbers: Numbers) -> Numbers:
        """In which of `ERAS` each of these does the last thing; `NEVER`: they do nothing at all."""
        _, _, acts = self._acts(numbers)
        last: Numbers = np.maximum.reduce(acts)
        return np.where(last == NEVER, NEVER, np.searchsorted(_ERA_ENDS, last, side="right"))

    def chances(self, numbers: Numbers) -> Numbers:
        """What looks like chance of each: the last entry of a `Life`."""
        return _chance(scattered(numbers, self._salt))

    @staticmethod
    def by_api(numbers: Numbers) -> NDArray[np.bool_]:
        """Whose partners use the API."""
        found: NDArray[np.bool_] = numbers % ONE_BY_API == 0
        return found

    def _existing(self, numbers: Sequence[int]) -> Numbers:
        block = np.array(numbers, dtype=np.int64)
        if block.size and not 0 <= block.min() <= block.max() < self.size:
            raise IndexError("nobody has such a number")
        return block

    def _acts(self, block: Numbers) -> tuple[Numbers, Bits, list[Numbers]]:
        """Their courses, what looks like chance, and when they do what: the instants of a `Life`, in seconds."""
        at = np.searchsorted(self._ends, block, side="right")
        bits = scattered(block, self._salt)
        place = block - self._ends[at] + self._people[at]
        bought, completed, ready = (
            _awake(edges.instants(at, place, self._people[at])) for edges in (self._buys, self._completes, self._ready)
        )
        bought = np.where(bought == NEVER, NEVER, np.maximum(bought, self._told[at]))
        courses = self._courses[at]
        cancelled = later(bought, part(bits, 20, 18), np.full_like(bought, _END))
        return (
            courses,
            bits,
            [
                bought,
                _redeemed(courses, bought, completed, bits),
                np.where(courses == Course.CANCELLED, cancelled, NEVER),
                completed,
                np.where(_REVIEWS[courses], completed + (ready - completed) // 3, NEVER),
                np.where(_LINKS[courses], ready, NEVER),
            ],
        )


def _chance(bits: Bits) -> Numbers:
    return part(bits, 36, 20)


def _courses(which: Any) -> Any:
    return np.array([False, *(which(course) for course in Course)])


_REVIEWS = _courses(
    lambda course: course not in (Course.CERTIFICATE_MISSING, Course.NOT_REVIEWED) and course <= Course.ACCOUNT_FULL
)
_LINKS = _courses(
    lambda course: (
        course in (Course.RECEIVED, Course.UNDER_WAY) or Course.ACCOUNT_OF_ANOTHER <= course <= Course.ACCOUNT_FULL
    )
)
#: Most are content: an assumption.
_RATINGS = np.array([5] * 18 + [4] * 9 + [3] * 3 + [2, 1])


class _Edges:
    """A window of each segment, in seconds."""

    def __init__(self, windows: Sequence[Window | None]) -> None:
        self._known = np.array([window is not None for window in windows], dtype=bool)
        self._start, self._last = (
            np.array(entries, dtype=np.int64)
            for entries in (
                [micro(window.start) // 10**6 if window else 0 for window in windows],
                [(window.end - window.start) // timedelta(seconds=1) if window else 0 for window in windows],
            )
        )

    def instants(self, at: Numbers, place: Numbers, people: Numbers) -> Numbers:
        """In the order of their places, evenly over the window."""
        return np.where(self._known[at], self._start[at] + self._last[at] * (2 * place + 1) // (2 * people), NEVER)


def _awake(seconds: Numbers) -> Numbers:
    """The same order on the same day, in Jakarta, but when people are awake."""
    day, second = np.divmod(seconds + _JAKARTA, _DAY)
    moved = np.interp(second / _DAY, _EVEN_OF_DAY, np.arange(25)) * 3600
    return np.where(seconds == NEVER, NEVER, day * _DAY + moved.astype(np.int64) - _JAKARTA)


def _redeemed(courses: Numbers, bought: Numbers, completed: Numbers, bits: Bits) -> Numbers:
    """When the code is redeemed: before the training is completed; of those who are learning, one in eight has not yet."""
    chance = part(bits, 20, 18)
    waiting = later(bought, chance, np.full_like(bought, _END))
    return np.where(
        completed != NEVER,
        bought + (completed - bought) * (chance % 512) // 1024,
        np.where((courses == Course.LEARNING) & (chance % 8 > 0), waiting, NEVER),
    )
