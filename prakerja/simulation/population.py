"""The simulated population: up to 30 million made-up people, each one a pure function of the seed and a number.

Nobody is stored. Who somebody is, when they register, when they open their mail, type their code and where they give up is
computed anew whenever it is asked for, and whoever stops a simulation can go on with the same people. How many share a
fate is exact (`programme`): within a wave, a permutation deals the fates out.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import accumulate
from math import gcd
from random import Random
from typing import NamedTuple

from prakerja.simulation.names import LAST_OF_MEN, LAST_OF_WOMEN, MEN, WOMEN
from prakerja.simulation.programme import END, Fate, WavePlan
from registrations.models import Education, Employment, Sex
from registrations.nik import FEMALE
from registrations.regions import WIB, Province
from verification.synthetic import kk_of

#: So many people have different NIKs; beyond, there are no more.
CAPACITY = 30_000_000

#: Five wrong codes void a code.
ATTEMPTS = 5


class SimulatedPerson(NamedTuple):
    """Somebody made up: what they register with, and what they do afterwards."""

    #: From 0, over all waves of the population.
    number: int
    wave: int
    fate: Fate
    name: str
    email: str
    nik: str
    #: As typed, so with the slips that the fate asks for; as is the birth date.
    kk: str
    birth_date: date
    #: E.164.
    phone: str
    #: Where they live.
    province: Province
    sex: Sex
    education: Education
    employment: Employment
    studying: bool
    registered_at: datetime
    #: None: never.
    opens_mail_at: datetime | None
    #: None: never. An inhabitant types all their wrong codes and the right one at this instant.
    types_code_at: datetime | None
    #: So many wrong codes first; `ATTEMPTS_USED_UP` types no other.
    wrong_codes: int

    def __repr__(self) -> str:
        return f"SimulatedPerson({self.number})"


class Conduct(NamedTuple):
    """What somebody made up does after registering, as `SimulatedPerson` tells it."""

    fate: Fate
    opens_mail_at: datetime | None
    types_code_at: datetime | None
    wrong_codes: int


class Population:
    """The people of some waves, numbered from 0 in the order in which they register."""

    def __init__(self, seed: int, plans: Sequence[WavePlan]) -> None:
        firsts = list(accumulate((plan.registered for plan in plans), initial=0))
        self.size = firsts.pop()
        if self.size > CAPACITY:
            raise ValueError(f"at most {CAPACITY:,} people")
        self._firsts = firsts
        self._salt = Random(seed).getrandbits(64)
        self._waves = [_Wave(plan, first, seed) for plan, first in zip(plans, firsts, strict=True)]
        self._by_wave = {wave.number: wave for wave in self._waves}
        self._profiles = _profiles(seed)

    def person(self, number: int) -> SimulatedPerson:
        """Who has this number. Raises `IndexError` if nobody does."""
        if not 0 <= number < self.size:
            raise IndexError(number)
        return self._person(self._waves[bisect_right(self._firsts, number) - 1], number)

    def conduct(self, number: int) -> Conduct:
        """What the person with this number does: `person` without who they are, for a third of its time."""
        if not 0 <= number < self.size:
            raise IndexError(number)
        wave = self._waves[bisect_right(self._firsts, number) - 1]
        slot = wave.slot(number - wave.first)
        fate = acts = wave.fate(slot)
        if fate is Fate.NIK_TAKEN:  # they do as they did under their other address
            number = wave.first + wave.original(slot)
            slot = wave.slot(number - wave.first)
            acts = wave.fate(slot)
        opens, types, wrong = self._conduct(wave, number - wave.first, slot, acts, self._bits(number))
        return Conduct(
            fate,
            None if opens is None else _datetime(opens),
            None if types is None else _datetime(types),
            wrong,
        )

    def of_wave(self, wave: int, index: int) -> SimulatedPerson:
        """Person `index` (from 0) of a wave."""
        of_wave = self._by_wave[wave]
        if not 0 <= index < of_wave.registered:
            raise IndexError(index)
        return self._person(of_wave, of_wave.first + index)

    def people(self, start: int = 0, stop: int | None = None) -> Iterator[SimulatedPerson]:
        """Persons `start` to `stop` (exclusive), in the order in which they register."""
        stop = self.size if stop is None else min(stop, self.size)
        for wave in self._waves:
            for number in range(max(start, wave.first), min(stop, wave.first + wave.registered)):
                yield self._person(wave, number)

    def number_of_email(self, email: str) -> int:
        """Whose address this is. Raises `ValueError` if it is no inhabitant's."""
        local, _, domain = email.partition("@")
        digits = local.rpartition(".")[2]
        if domain not in _DOMAINS or len(digits) != 6 or not (digits.isascii() and digits.isalnum()):
            raise ValueError("not an inhabitant's address")
        return self._inhabitant(int(digits, 36))

    def number_of_phone(self, phone: str) -> int:
        """Whose number (E.164) this is; if two registered with it, the one whose it is. Raises `ValueError` if nobody's."""
        prefix, digits = phone[:6], phone[7:]
        if prefix not in _PREFIX_SET or phone[6:7] != "0" or len(digits) != 8 or not (digits.isascii() and digits.isdigit()):
            raise ValueError("not an inhabitant's number")
        subscriber = int(digits)
        if subscriber < _IN_SERVICE:
            return self._inhabitant(subscriber * _UNSCATTER % _IN_SERVICE)
        return self._inhabitant(
            _PREFIXES.index(prefix) % _DEAD_GROUPS * _DEAD + (subscriber - _IN_SERVICE) * _UNSCATTER_DEAD % _DEAD
        )

    def _inhabitant(self, number: int) -> int:
        if number >= self.size:
            raise ValueError("not an inhabitant's")
        return number

    def _person(self, wave: "_Wave", number: int) -> SimulatedPerson:
        index = number - wave.first
        slot = wave.slot(index)
        fate = wave.fate(slot)
        if fate is Fate.NIK_TAKEN:
            return self._registered_again(wave, number, wave.original(slot))
        registered = wave.instant(index)
        bits = self._bits(number)

        # Who they are. Where two uses share bits, they have nothing to do with each other.
        dealt, profile_number = divmod(number, _PROFILES)
        profile = self._profiles[profile_number]
        place = (profile.base + dealt) * _PLACE_STEP % _PLACES
        sub_district, day = divmod(place, 365)
        digits, born = profile.days[day]
        nik = f"{profile.regency}{_SUB_DISTRICTS[sub_district]}{digits}0000"
        kk = kk_of(nik)
        name, slug = profile.names[(bits & 0xFFFF) * len(profile.names) >> 16]
        domain = "@warga.example"
        subscriber = number * _SCATTER % _IN_SERVICE
        prefix = _PREFIXES[(bits >> 16 & 0xFF) * len(_PREFIXES) >> 8]
        province = profile.province if bits >> 24 & 0xFF >= 20 else _HOMES[bits >> 32 & 0xFF]  # 20 of 256: 8 %

        # Their slips.
        if fate is not Fate.VERIFIED:
            if fate is Fate.MAILBOX_FULL:
                domain = "@penuh.example"
            elif fate is Fate.ADDRESS_UNKNOWN:
                domain = "@hilang.example"
            elif fate is Fate.NIK_UNKNOWN:
                nik = f"{profile.regency}9{sub_district % 10}{digits}0000"
                kk = kk_of(nik)
            elif fate is Fate.KK_MISMATCH:
                # One digit, and of the date's year: a slip that still is a KK number, and still a made-up one.
                kk = f"{kk[:11]}{(int(kk[11]) + 1 + bits % 9) % 10}0000"
            elif fate is Fate.BIRTH_DATE_MISMATCH:
                born = _day_beside(born)
            elif fate is Fate.NUMBER_DEAD:
                group, place = divmod(number, _DEAD)
                subscriber = _IN_SERVICE + place * _SCATTER % _DEAD
                prefix = _PREFIXES[(bits >> 16 & 0xFF) % (len(_PREFIXES) // _DEAD_GROUPS) * _DEAD_GROUPS + group]

        opens, types, wrong = self._conduct(wave, index, slot, fate, bits)
        return SimulatedPerson(
            number,
            wave.number,
            fate,
            name,
            f"{slug}{_BASE_36[number // 46656]}{_BASE_36[number % 46656]}{domain}",
            nik,
            kk,
            born,
            f"{prefix}0{subscriber:08}",
            province,
            profile.sex,
            _EDUCATION[bits >> 8 & 0xFF],
            _EMPLOYMENT[bits >> 48 & 0xFF],
            bits >> 56 < 8,  # of 256: 3 %
            _datetime(registered),
            None if opens is None else _datetime(opens),
            None if types is None else _datetime(types),
            wrong,
        )

    def _conduct(self, wave: "_Wave", index: int, slot: int, fate: Fate, bits: int) -> tuple[int | None, int | None, int]:
        """When they open their mail, when they type their code, and how many wrong ones first."""
        if fate <= Fate.ADDRESS_UNKNOWN:
            return None, None, 0
        # Two who register with one NIK open their mail together, so it does not matter who of them comes first.
        registered = wave.instant(index)
        latest = registered if (again := wave.again(slot)) is None else max(registered, wave.instant(again))
        opens = wave.opens(slot, latest, bits >> 40)
        if fate is Fate.VERIFIED:
            return opens, wave.types(slot, opens, bits >> 50), _WRONG_CODES[bits >> 32 & 0xFF]
        if fate is Fate.ATTEMPTS_USED_UP:
            return opens, wave.types(slot, opens, bits >> 50), ATTEMPTS
        return opens, None, 0

    def _registered_again(self, wave: "_Wave", number: int, original: int) -> SimulatedPerson:
        """Person `original` of the wave a second time: other address, other time; same person, and they do the same."""
        other = self._person(wave, wave.first + original)
        slug = other.email.rpartition("@")[0][:-6]
        return other._replace(
            number=number,
            fate=Fate.NIK_TAKEN,
            email=f"{slug}{_BASE_36[number // 46656]}{_BASE_36[number % 46656]}@warga.example",
            registered_at=_datetime(wave.instant(number - wave.first)),
        )

    def _bits(self, number: int) -> int:
        """64 bits that look like chance (SplitMix64: Steele, Lea and Flood 2014)."""
        x = (number * 0x9E3779B97F4A7C15 + self._salt) & 0xFFFFFFFFFFFFFFFF
        x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        x = ((x ^ x >> 27) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        return x ^ x >> 31


# Time, in microseconds since 1970 -------------------------------------------------------------------------------------

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = 1_000_000
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR


def _micro(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)


def _datetime(micro: int) -> datetime:
    return _EPOCH + timedelta(0, 0, micro)


#: How many people register in each hour of a day (WIB), in proportion: few at night, most in the morning and evening.
_RHYTHM = (12, 8, 5, 4, 5, 9, 18, 32, 48, 60, 64, 60, 52, 54, 56, 52, 48, 42, 46, 56, 58, 48, 34, 20)


def _waits(*parts: tuple[int, int, int]) -> tuple[int, ...]:
    """1,024 waiting times; each part (share of 1,024, from, to) is spread evenly over its range."""
    return tuple(low + (high - low) * i // share for share, low, high in parts for i in range(share))


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


class _Wave:
    """One wave: who of it has which fate, and when."""

    def __init__(self, plan: WavePlan, first: int, seed: int) -> None:
        self.number = plan.number
        self.first = first
        self.registered = plan.registered
        self._identity = plan.identity_verified
        self._bounds = list(accumulate(plan.fates[fate] for fate in _ORDER))
        self._taken = self._bounds[_ORDER.index(Fate.NIK_TAKEN) - 1]
        self._pairs = plan.fates[Fate.NIK_TAKEN]
        self._by_close = plan.by_close
        self._closes = _micro(plan.closes_at)
        self._end = _micro(END)
        self._step, self._shift, self._back = _affine(plan.registered, f"{seed}/{plan.number}")
        self._hours, self._upto = _hours(plan)

    def slot(self, index: int) -> int:
        """Where in the order of fates person `index` is: a permutation, nearly even over the window."""
        return (index * self._step + self._shift) % self.registered

    def fate(self, slot: int) -> Fate:
        return _ORDER[bisect_right(self._bounds, slot)]

    def again(self, slot: int) -> int | None:
        """The index under which somebody (not `NIK_TAKEN`) registers a second time, if they do."""
        return self._index(self._taken + slot) if slot < self._pairs else None

    def original(self, slot: int) -> int:
        """The index of the one whose NIK a `NIK_TAKEN` has."""
        return self._index(slot - self._taken)

    def _index(self, slot: int) -> int:
        return (slot - self._shift) * self._back % self.registered

    def instant(self, index: int) -> int:
        """When person `index` registers; it never decreases with `index`."""
        hour = bisect_right(self._upto, index) - 1
        before, upto = self._upto[hour], self._upto[hour + 1]
        start, end = self._hours[hour], self._hours[hour + 1]
        return start + (2 * (index - before) + 1) * (end - start) // (2 * (upto - before))

    def opens(self, slot: int, registered: int, bits: int) -> int:
        """When the mail is opened."""
        if self._by_close is None:
            return _later(registered, _OPENS_AFTER[bits & 1023], self._end)
        failing = slot - self._identity
        in_time = (
            slot < self._by_close.identity_verified
            if failing < 0
            else failing < self._by_close.email_verified - self._by_close.identity_verified
        )
        if in_time:
            return _later(registered, _OPENS_AFTER[bits & 1023], self._closes)
        return _later(self._closes, _LATE_BY[bits & 1023], self._end)

    def types(self, slot: int, opened: int, bits: int) -> int:
        """When the code is typed."""
        if self._by_close is None or slot >= self._bounds[0]:
            return _later(opened, _TYPES_AFTER[bits & 1023], self._end)
        if slot < self._by_close.phone_verified:
            return _later(opened, _TYPES_AFTER[bits & 1023], self._closes)
        return _later(max(opened, self._closes), _LATE_BY[bits & 1023], self._end)


def _later(start: int, wait: int, limit: int) -> int:
    """`wait` after `start`; but if that is not before `limit`, somewhere between the two."""
    return start + wait if start + wait < limit else start + (limit - start) * (1 + wait % 1020) // 1021


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
    start, end = _micro(plan.opening.registers_from), _micro(plan.opening.registers_until)
    edges = [*range(start, end, _HOUR), end]
    midnight = plan.opening.registers_from.astimezone(WIB).hour
    weights = list(accumulate((_RHYTHM[(midnight + i) % 24] for i in range(len(edges) - 1)), initial=0))
    return edges, [plan.registered * weight // weights[-1] for weight in weights]


# Who people are -------------------------------------------------------------------------------------------------------

#: People in millions by province: census of 2020 (BPS). Within a province, each regency has its even share.
_MILLIONS = {
    11: 5.27, 12: 14.80, 13: 5.53, 14: 6.39, 15: 3.55, 16: 8.47, 17: 2.01, 18: 9.01, 19: 1.46, 21: 2.06, 31: 10.56,
    32: 48.27, 33: 36.52, 34: 3.67, 35: 40.67, 36: 11.90, 51: 4.32, 52: 5.32, 53: 5.33, 61: 5.41, 62: 2.67, 63: 4.07,
    64: 3.77, 65: 0.70, 71: 2.62, 72: 2.99, 73: 9.07, 74: 2.62, 75: 1.17, 76: 1.42, 81: 1.85, 82: 1.28, 91: 4.30,
    92: 1.13,
}  # fmt: skip

#: Of registrants 61 % were men: published on 19 May 2020.
_MEN_IN_100 = 61

#: By age: (up to, weight of each year). Young people prevail, about 1 % are too young: an assumption.
_AGES = ((17, 5), (18, 30), (19, 40), (25, 60), (30, 50), (35, 35), (40, 25), (45, 16), (50, 10), (60, 5))

# Distinct NIKs, by construction: `number` is dealt to one of 10,000 profiles (regency, sex, birth year) and is its
# `dealt`-th person; profiles that are alike take a share of their own of the 365 x 89 days and sub-districts.
_PROFILES = 10_000
_DEALT = CAPACITY // _PROFILES
_PLACES = 365 * 89
_ALIKE = _PLACES // _DEALT
#: Prime to `_PLACES`: scatters the people of a profile over days and sub-districts.
_PLACE_STEP = 12_347
_SUB_DISTRICTS = tuple(f"{number:02}" for number in range(1, 90))

_Days = Sequence[tuple[str, date]]


class _Profile(NamedTuple):
    province: Province
    regency: int
    sex: Sex
    #: DDMMYY as in a NIK, and the date, of 365 days of the year.
    days: _Days
    #: (name, how an address begins)
    names: Sequence[tuple[str, str]]
    #: Where its share of the days and sub-districts begins.
    base: int


def _profiles(seed: int) -> list[_Profile]:
    """10,000 kinds of people, as frequent as they are in the country."""
    rng = Random(seed)
    regencies = [(province, regency) for province in Province for regency in province.regencies]
    weights = [_MILLIONS[province] / len(province.regencies) for province, _ in regencies]
    ages = list(range(16, 61))
    age_weights = [next(weight for upto, weight in _AGES if age <= upto) for age in ages]
    alike: dict[tuple[int, int, int], int] = {}
    shifts: dict[tuple[int, int, int], int] = {}
    profiles: list[_Profile] = []
    while len(profiles) < _PROFILES:
        ((province, regency),) = rng.choices(regencies, weights)
        sex = Sex.MALE if rng.randrange(100) < _MEN_IN_100 else Sex.FEMALE
        year = 2020 - rng.choices(ages, age_weights)[0]
        kind = (regency, sex, year)
        before = alike.get(kind, 0)
        if before < _ALIKE:
            alike[kind] = before + 1
            # Shifted alike for those who are alike; without, the first of every profile would be born on 1 January.
            base = before * _DEALT + shifts.setdefault(kind, rng.randrange(_PLACES))
            profiles.append(_Profile(province, regency, sex, _days(year, sex), _names(sex), base))
    return profiles


@cache
def _days(year: int, sex: int) -> _Days:
    days = [date(year, 1, 1) + timedelta(i) for i in range(365)]
    return [(f"{day.day + 40 * (sex == FEMALE):02}{day:%m%y}", day) for day in days]


@cache
def _names(sex: int) -> Sequence[tuple[str, str]]:
    firsts, lasts = (WOMEN, LAST_OF_WOMEN) if sex == FEMALE else (MEN, LAST_OF_MEN)
    names = [f"{first} {last}".strip() for first in firsts for last in lasts if first != last]
    return [(name, name.lower().replace(" ", ".") + ".") for name in names]


def _day_beside(born: date) -> date:
    """A birth date with a slip in it: day and month swapped where that makes another date, else the day before or after."""
    if born.day <= 12 and born.day != born.month:
        return date(born.year, born.day, born.month)
    return born + timedelta(1 if born.day < 15 else -1)


def _of_256(*shares: int) -> tuple[int, ...]:
    """A table of 256 with the codes 1, 2, 3... as often as their shares say."""
    return tuple(code for code, share in enumerate(shares, 1) for _ in range(share))


#: Most have finished senior high school: an assumption, as are the next two.
_EDUCATION = tuple(map(Education, _of_256(20, 36, 141, 21, 38)))
_EMPLOYMENT = tuple(map(Employment, _of_256(133, 51, 15, 36, 21)))
_WRONG_CODES = (0,) * 230 + (1,) * 21 + (2,) * 5
#: Where those live who moved: as people are spread over the country.
_HOMES = tuple(
    Province(province)
    for province, upto in zip(_MILLIONS, accumulate(_MILLIONS.values()), strict=True)
    for _ in range(round(upto / 270.2 * 256) - round((upto - _MILLIONS[province]) / 270.2 * 256))
)[:256]

# Addresses ------------------------------------------------------------------------------------------------------------

_DOMAINS = frozenset(("warga.example", "penuh.example", "hilang.example"))
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_BASE_36 = tuple(a + b + c for a in _DIGITS for b in _DIGITS for c in _DIGITS)

#: Prefixes of the operators Telkomsel, Indosat, XL, AXIS, Tri and Smartfren; a multiple of `_DEAD_GROUPS` of them.
_PREFIXES = tuple(
    f"+62{prefix}"
    for prefix in (
        *(811, 812, 813, 821, 822, 823, 851, 852, 853),
        *(814, 815, 816, 855, 856, 857, 858),
        *(817, 818, 819, 859, 877, 878),
        *(831, 832, 833, 838),
        *(895, 896, 897, 898),
        *(881, 882, 888),
    )
)
_PREFIX_SET = frozenset(_PREFIXES)
#: Subscribers below this are in service, the 10 million above it are dead. Both steps are prime to 10, so they permute.
_IN_SERVICE = 90_000_000
_DEAD = 10_000_000
#: More people than dead numbers: the prefix tells apart who has the same. 30 million people, so three groups.
_DEAD_GROUPS = CAPACITY // _DEAD
_SCATTER = 38_196_601
_UNSCATTER = pow(_SCATTER, -1, _IN_SERVICE)
_UNSCATTER_DEAD = pow(_SCATTER, -1, _DEAD)
