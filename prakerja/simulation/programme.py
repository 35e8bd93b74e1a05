"""The programme from April to September 2020: its waves, and how many people get how far, at any scale.

The sums are the programme office's published figures; how they are spread over the waves and over the reasons for dropping
off is our assumption, all of it in the tables of this module.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from itertools import pairwise
from math import floor
from typing import NamedTuple, TypeVar

from registrations.regions import WIB
from registrations.stages import DropOff, Stage

Scale = Fraction | Decimal | str | int
Reason = TypeVar("Reason")

# Published figures: press briefing of 15 September 2020.
REGISTERED = 23_171_233
EMAIL_VERIFIED = 18_000_000
IDENTITY_VERIFIED = 13_400_000
PHONE_VERIFIED = 11_990_000
TRAINING_BOUGHT = 3_200_000
TRAINING_COMPLETED = 2_000_000
INCENTIVE_RECEIVED = 1_200_000


def wib(month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    """An instant of 2020; hour 24 is the end of the day."""
    return datetime(2020, month, day, tzinfo=WIB) + timedelta(hours=hour, minutes=minute)


#: When the briefing was given: nothing happens later.
END = wib(9, 15, 18, 35)


class Opening(NamedTuple):
    """A wave as it was."""

    opens_at: datetime
    closes_at: datetime
    #: Seats when it was planned.
    quota: int
    #: Named in its decree; None: not drawn yet.
    accepted: int | None
    # People register in this window (until: exclusive). Whoever registers belongs to the first wave that closes later, and
    # the windows leave the gaps after which a total was published.
    registers_from: datetime
    registers_until: datetime


#: By number. Openings and closings of waves 3 and 6 to 8 are partly not confirmed by a source.
OPENINGS: Mapping[int, Opening] = {
    1: Opening(wib(4, 11), wib(4, 16, 16), 164_000, 168_111, wib(4, 11), wib(4, 16, 16)),
    2: Opening(wib(4, 20, 8), wib(4, 23, 16), 288_154, 288_154, wib(4, 16, 16), wib(4, 23, 16)),
    3: Opening(wib(4, 27), wib(4, 30, 24), 224_653, 224_653, wib(4, 29), wib(4, 30, 24)),
    4: Opening(wib(8, 7), wib(8, 12, 24), 800_000, 800_000, wib(5, 20), wib(8, 12, 24)),
    5: Opening(wib(8, 15, 12), wib(8, 19, 24), 800_000, 800_000, wib(8, 13), wib(8, 19, 24)),
    6: Opening(wib(8, 27), wib(8, 31, 12), 800_000, 800_000, wib(8, 20), wib(8, 31, 12)),
    7: Opening(wib(9, 3, 12), wib(9, 7, 24), 800_000, 800_000, wib(8, 31, 12), wib(9, 7, 24)),
    8: Opening(wib(9, 10, 12), wib(9, 14, 24), 800_000, None, wib(9, 8), wib(9, 14, 24)),
}
WAVES = tuple(OPENINGS)

#: Registered by the end of waves 1, 2 and 3: published for 16 April 16:00, 28 April and 19 May.
_CUMULATIVE = (5_965_048, 8_600_000, 10_400_000)
#: How the people between the last of these and wave 8 are spread over waves 4 to 7: an assumption.
_WAVES_4_TO_7 = (2_100_000, 2_400_000, 2_300_000, 2_800_000)
_WAVE_8 = 3_171_233


class Fate(IntEnum):
    """How far a simulated person gets, and why no further."""

    MAIL_NEVER_OPENED = 1
    MAILBOX_FULL = 2
    ADDRESS_UNKNOWN = 3
    #: A slip in the NIK, or somebody whom the registry does not know.
    NIK_UNKNOWN = 4
    KK_MISMATCH = 5
    BIRTH_DATE_MISMATCH = 6
    #: Registers a second time, under another e-mail address.
    NIK_TAKEN = 7
    CODE_NEVER_TYPED = 8
    NUMBER_DEAD = 9
    ATTEMPTS_USED_UP = 10
    VERIFIED = 11

    @property
    def stage(self) -> Stage:
        """The rung on which the person ends up."""
        return _ENDS[self][0]

    @property
    def drop_off(self) -> DropOff:
        """The reason that is then found with the person."""
        return _ENDS[self][1]


_ENDS = {
    Fate.MAIL_NEVER_OPENED: (Stage.REGISTERED, DropOff.NONE),
    Fate.MAILBOX_FULL: (Stage.REGISTERED, DropOff.MAILBOX_FULL),
    Fate.ADDRESS_UNKNOWN: (Stage.REGISTERED, DropOff.ADDRESS_UNKNOWN),
    Fate.NIK_UNKNOWN: (Stage.EMAIL_VERIFIED, DropOff.NIK_UNKNOWN),
    Fate.KK_MISMATCH: (Stage.EMAIL_VERIFIED, DropOff.KK_MISMATCH),
    Fate.BIRTH_DATE_MISMATCH: (Stage.EMAIL_VERIFIED, DropOff.BIRTH_DATE_MISMATCH),
    Fate.NIK_TAKEN: (Stage.EMAIL_VERIFIED, DropOff.NIK_TAKEN),
    Fate.CODE_NEVER_TYPED: (Stage.IDENTITY_VERIFIED, DropOff.NONE),
    Fate.NUMBER_DEAD: (Stage.IDENTITY_VERIFIED, DropOff.NUMBER_DEAD),
    Fate.ATTEMPTS_USED_UP: (Stage.IDENTITY_VERIFIED, DropOff.ATTEMPTS_USED_UP),
    Fate.VERIFIED: (Stage.PHONE_VERIFIED, DropOff.NONE),
}

#: Why people are lost on the way to each rung. The sums are published; so is that 2 million typed something wrongly
#: (here: KK number and birth date). The rest of the split is an assumption.
SHARES: tuple[Mapping[Fate, int], ...] = (
    {Fate.MAIL_NEVER_OPENED: 4_200_000, Fate.MAILBOX_FULL: 350_000, Fate.ADDRESS_UNKNOWN: 621_233},
    {
        Fate.NIK_UNKNOWN: 2_000_000,
        Fate.KK_MISMATCH: 1_100_000,
        Fate.BIRTH_DATE_MISMATCH: 900_000,
        Fate.NIK_TAKEN: 600_000,
    },
    {Fate.CODE_NEVER_TYPED: 850_000, Fate.NUMBER_DEAD: 430_000, Fate.ATTEMPTS_USED_UP: 130_000},
)


class Snapshot(NamedTuple):
    """How many of a wave stood on each rung, or above, at an instant."""

    email_verified: int
    identity_verified: int
    phone_verified: int


#: Wave 1 when it closed, 16 April 16:00.
_WAVE_1_AT_CLOSE = Snapshot(4_428_000, 3_290_000, 2_078_026)


@dataclass(frozen=True, slots=True)
class WavePlan:
    """How many people of one wave get how far. Each rung counts those above it too, as the funnel does."""

    number: int
    opening: Opening
    #: Seats when it was planned, at this scale.
    quota: int
    registered: int
    email_verified: int
    identity_verified: int
    phone_verified: int
    #: Everybody, by fate: the counts add up to `registered`.
    fates: Mapping[Fate, int]
    #: So many climb before the wave closes; None where nothing was published.
    by_close: Snapshot | None

    @property
    def opens_at(self) -> datetime:
        return self.opening.opens_at

    @property
    def closes_at(self) -> datetime:
        return self.opening.closes_at


def half_up(figure: Fraction) -> int:
    """The nearest whole number; a half goes up. (Python's own rounding goes to the even one.)"""
    return floor(figure + Fraction(1, 2))


def largest_remainder(total: int, weights: Sequence[int]) -> list[int]:
    """`total` split in proportion to `weights`, exactly; of equal remainders, the earlier one wins.

    No part exceeds its weight if `total` does not exceed their sum.
    """
    whole = sum(weights)
    if not whole:
        if total:
            raise ValueError("nobody to share this among")
        return [0] * len(weights)
    parts = [total * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: -(total * weights[i] % whole))
    for i in by_remainder[: total - sum(parts)]:
        parts[i] += 1
    return parts


def within(total: int, weights: Sequence[int], most: Sequence[int]) -> list[int]:
    """`total` split in proportion to `weights`, exactly, with no part above its `most`: what is too much goes to the others."""
    if total > sum(most):
        raise ValueError("more than all of them can take")
    parts = [0] * len(most)
    while left := total - sum(parts):
        room = [limit - part for limit, part in zip(most, parts, strict=True)]
        shares = [weight if free else 0 for weight, free in zip(weights, room, strict=True)]
        for i, part in enumerate(largest_remainder(left, shares if any(shares) else room)):
            parts[i] += min(part, room[i])
    return parts


def plan(scale: Scale, waves: Iterable[int] = WAVES) -> list[WavePlan]:
    """What the published figures times `scale` (exact: no float) mean for each of `waves`."""
    scale = Fraction(scale)
    if scale < 0:
        raise ValueError("a scale is not negative")
    registered = _registered(scale)
    # Each rung is shared out in proportion to the rung below it, so no wave has more people on a rung than below.
    ladder = [registered]
    for figure in (EMAIL_VERIFIED, IDENTITY_VERIFIED, PHONE_VERIFIED):
        ladder.append(largest_remainder(half_up(figure * scale), ladder[-1]))
    fates = [by_reason(lost, shares) for lost, shares in zip(_losses(ladder), SHARES, strict=True)]

    plans = []
    for i, wave in enumerate(WAVES):
        email, identity, phone = (rung[i] for rung in ladder[1:])
        by_close = _by_close(scale, Snapshot(email, identity, phone)) if wave == 1 else None
        of_wave = {fate: count for split in fates for fate, count in split[i].items()} | {Fate.VERIFIED: phone}
        # Whoever registers twice needs somebody to be, who does everything on the same side of the close.
        twins = min(phone, by_close.email_verified - by_close.identity_verified if by_close else phone)
        too_many = max(0, of_wave[Fate.NIK_TAKEN] - twins)
        of_wave[Fate.NIK_TAKEN] -= too_many
        of_wave[Fate.NIK_UNKNOWN] += too_many
        opening = OPENINGS[wave]
        quota = half_up(opening.quota * scale)
        plans.append(WavePlan(wave, opening, quota, registered[i], email, identity, phone, of_wave, by_close))
    wanted = set(waves)
    return [each for each in plans if each.number in wanted]


def plan_registrants(people: int, waves: Iterable[int] = WAVES) -> list[WavePlan]:
    """The same for so many registrants in all (over all eight waves)."""
    return plan(Fraction(people, REGISTERED), waves)


def accepted(scale: Fraction) -> dict[int, int]:
    """How many each wave that was drawn names; the sum is the published one times `scale`, rounded."""
    published = {number: opening.accepted for number, opening in OPENINGS.items() if opening.accepted is not None}
    total = half_up(sum(published.values()) * scale)
    return dict(zip(published, largest_remainder(total, list(published.values())), strict=True))


def _registered(scale: Fraction) -> list[int]:
    cumulative = [half_up(figure * scale) for figure in _CUMULATIVE]
    wave_8 = half_up(_WAVE_8 * scale)
    between = half_up(REGISTERED * scale) - cumulative[-1] - wave_8
    first_three = [now - before for before, now in pairwise([0, *cumulative])]
    return [*first_three, *largest_remainder(between, _WAVES_4_TO_7), wave_8]


def _losses(ladder: Sequence[Sequence[int]]) -> list[list[int]]:
    """For each rung, how many of each wave do not reach it from the rung below."""
    return [[below - above for below, above in zip(lower, upper, strict=True)] for lower, upper in pairwise(ladder)]


def by_reason(lost: Sequence[int], shares: Mapping[Reason, int]) -> list[dict[Reason, int]]:
    """The people lost in each wave by reason, so that the sums over waves and the sums over reasons are both exact."""
    left = largest_remainder(sum(lost), list(shares.values()))
    splits = []
    for count in lost:
        split = largest_remainder(count, left)  # of those not given out yet: the last wave gets all that is left
        left = [rest - part for rest, part in zip(left, split, strict=True)]
        splits.append(dict(zip(shares, split, strict=True)))
    return splits


def _by_close(scale: Fraction, finals: Snapshot) -> Snapshot:
    email, identity, phone = (
        min(half_up(figure * scale), final) for figure, final in zip(_WAVE_1_AT_CLOSE, finals, strict=True)
    )
    # Rounding of a handful of people could leave more who fail by the close than fail at all.
    email = min(email, identity + finals.email_verified - finals.identity_verified)
    return Snapshot(email, identity, phone)
