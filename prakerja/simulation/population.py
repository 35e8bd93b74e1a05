"""The simulated population: up to 30 million made-up people, each one a pure function of the seed and a number.

Nobody is stored. Who somebody is, when they register, when they open their mail, type their code and where they give up is
computed anew whenever it is asked for, and whoever stops a simulation can go on with the same people. How many share a
fate is exact (`programme`): within a wave, a permutation deals the fates out.

People are made in blocks: all that is a number is an array with one entry per person, and only the last step makes Python
objects of it. One person is a block of one, which takes as long as some seventy people of a large one.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from itertools import accumulate
from random import Random
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from prakerja.simulation.names import LAST_OF_MEN, LAST_OF_WOMEN, MEN, WOMEN
from prakerja.simulation.programme import Fate, WavePlan
from prakerja.simulation.waves import NEVER, Bits, Numbers, Waves, datetimes, part, scattered
from registrations.models import Education, Employment, Sex
from registrations.nik import FEMALE
from registrations.regions import Province
from verification.synthetic import kk_of

#: So many people have different NIKs; beyond, there are no more.
CAPACITY = 30_000_000

#: Five wrong codes void a code.
ATTEMPTS = 5

#: So many people are made at a time: enough that the arrays cost little, few enough that they stay small.
BLOCK = 2048

_Table: TypeAlias = NDArray[np.object_]


def _table(*entries: Any) -> _Table:
    """Python objects that are picked by an array of positions."""
    table = np.empty(len(entries), dtype=object)
    table[:] = entries
    return table


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


class _Lives(NamedTuple):
    """What becomes of a block of people, in numbers: an entry for each."""

    #: Position in the list of waves.
    waves: Numbers
    fates: Numbers
    #: The number of who it is: of a `NIK_TAKEN`, the one under which they registered before. They do then as that one does.
    who: Numbers
    #: What looks like chance about who it is.
    bits: Bits
    opens_mail: Numbers
    types_code: Numbers
    wrong_codes: Numbers


class Population:
    """The people of some waves, numbered from 0 in the order in which they register."""

    def __init__(self, seed: int, plans: Sequence[WavePlan]) -> None:
        self.size = sum(plan.registered for plan in plans)
        if self.size > CAPACITY:
            raise ValueError(f"at most {CAPACITY:,} people")
        self._salt = np.uint64(Random(seed).getrandbits(64))
        self._waves = Waves(seed, plans)
        self._profiles = _Profiles(seed)

    def person(self, number: int) -> SimulatedPerson:
        """Who has this number. Raises `IndexError` if nobody does."""
        [person] = self._people(self._existing([number]))
        return person

    def of_wave(self, wave: int, index: int) -> SimulatedPerson:
        """Person `index` (from 0) of a wave. Raises `IndexError` if there is none."""
        return self.person(self._waves.number_of(wave, index))

    def people(self, start: int = 0, stop: int | None = None) -> Iterator[SimulatedPerson]:
        """Persons `start` to `stop` (exclusive), in the order in which they register."""
        start, stop = max(start, 0), self.size if stop is None else min(stop, self.size)
        for first in range(start, stop, BLOCK):
            yield from self._people(np.arange(first, min(first + BLOCK, stop)))

    def conducts(self, numbers: Sequence[int]) -> list[Conduct]:
        """What the people with these numbers do, one for one: what `people` says, without who they are.

        Raises `IndexError` if one of them is nobody's.
        """
        lives = self._lives(self._existing(numbers))
        return list(
            map(
                Conduct._make,
                zip(
                    _FATES[lives.fates].tolist(),
                    datetimes(lives.opens_mail),
                    datetimes(lives.types_code),
                    lives.wrong_codes.tolist(),
                    strict=True,
                ),
            )
        )

    def phones(self, numbers: Sequence[int]) -> list[str]:
        """Where each of these people can be called, E.164. Raises `IndexError` if one of them is nobody's."""
        lives = self._lives(self._existing(numbers))
        return [f"+{phone}" for phone in _phones(lives.who, lives.bits, dead=lives.fates == Fate.NUMBER_DEAD).tolist()]

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

    def _existing(self, numbers: Sequence[int]) -> Numbers:
        block = np.array(numbers, dtype=np.int64)
        if block.size and not 0 <= block.min() <= block.max() < self.size:
            raise IndexError("nobody has such a number")
        return block

    def _people(self, numbers: Numbers) -> Iterator[SimulatedPerson]:
        lives = self._lives(numbers)
        fates, who, bits = lives.fates, lives.who, lives.bits

        # Who they are. Where two uses share bits, they have nothing to do with each other.
        dealt, number = np.divmod(who, _PROFILES)
        profile = self._profiles.rows[number]
        sub_district, day = np.divmod((profile["base"] + dealt) * _PLACE_STEP % _PLACES, 365)
        # One that does not exist is part of a slip.
        sub_district = np.where(fates == Fate.NIK_UNKNOWN, 90 + sub_district % 10, 1 + sub_district)
        born = profile["year"] * 365 + day
        digits = _BORN_DIGITS[born] + profile["day_more"] * 10_000
        niks = [str(nik) for nik in (((profile["regency"] * 100 + sub_district) * 1_000_000 + digits) * 10_000).tolist()]
        name = profile["first_name"] + (part(bits, 0, 16) * profile["names"] >> 16)
        province = np.where(part(bits, 24, 8) >= 20, profile["province"], _HOMES[part(bits, 32, 8)])  # 20 of 256: 8 %

        kks = [kk_of(nik) for nik in niks]
        for i in np.flatnonzero(fates == Fate.KK_MISMATCH).tolist():
            kks[i] = _other_kk(kks[i], int(bits[i]))
        birth_dates = _BORN[born].tolist()
        for i in np.flatnonzero(fates == Fate.BIRTH_DATE_MISMATCH).tolist():
            birth_dates[i] = _day_beside(birth_dates[i])

        slugs, highs, lows = _SLUGS[name].tolist(), _BASE_36[numbers // 46656].tolist(), _BASE_36[numbers % 46656].tolist()
        domains = _DOMAIN_OF[fates].tolist()
        phones = _phones(who, bits, dead=fates == Fate.NUMBER_DEAD).tolist()
        return map(
            SimulatedPerson._make,
            zip(
                numbers.tolist(),
                self._waves.numbers[lives.waves].tolist(),
                _FATES[fates].tolist(),
                _NAMES[name].tolist(),
                [f"{slug}{high}{low}{domain}" for slug, high, low, domain in zip(slugs, highs, lows, domains, strict=True)],
                niks,
                kks,
                birth_dates,
                [f"+{phone}" for phone in phones],
                _PROVINCES[province].tolist(),
                self._profiles.sexes[number].tolist(),
                _EDUCATION[part(bits, 8, 8)].tolist(),
                _EMPLOYMENT[part(bits, 48, 8)].tolist(),
                (part(bits, 56, 8) < 8).tolist(),  # of 256: 3 %
                datetimes(self._waves.instants(numbers)),
                datetimes(lives.opens_mail),
                datetimes(lives.types_code),
                lives.wrong_codes.tolist(),
                strict=True,
            ),
        )

    def _lives(self, numbers: Numbers) -> _Lives:
        """What becomes of them."""
        waves = self._waves
        at = waves.at(numbers)
        slots = waves.slots(at, numbers)
        fates = waves.fates(slots)

        # Who registers a second time has the slot and the number of the first, and their instants.
        twice = fates == Fate.NIK_TAKEN
        slots = np.where(twice, slots - waves.pairs_apart[at], slots)
        who = np.where(twice, waves.at_slots(at, slots), numbers)
        bits = scattered(who, self._salt)

        # Two who register with one NIK open their mail together, so it does not matter who of them comes first.
        paired = slots < waves.paired_until[at]
        again = np.where(paired, waves.at_slots(at, slots + waves.pairs_apart[at]), who)
        opens = waves.opens(at, slots, waves.instants(np.maximum(who, again)), part(bits, 40, 10))
        types = waves.types(at, slots, opens, part(bits, 50, 10))
        verified, used_up = twice | (fates == Fate.VERIFIED), fates == Fate.ATTEMPTS_USED_UP
        return _Lives(
            at,
            fates,
            who,
            bits,
            np.where(fates > Fate.ADDRESS_UNKNOWN, opens, NEVER),
            np.where(verified | used_up, types, NEVER),
            np.where(verified, _WRONG_CODES[part(bits, 32, 8)], used_up * ATTEMPTS),
        )


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

#: Who registers is 16 to 60 years old in 2020. 365 days of each year of birth, and as DDMMYY.
_YEARS = range(1960, 2005)
_BORN = _table(*(date(year, 1, 1) + timedelta(i) for year in _YEARS for i in range(365)))
_BORN_DIGITS = np.array([day.day * 10_000 + day.month * 100 + day.year % 100 for day in _BORN])

#: Everybody's names: women's first.
_WOMEN, _MEN = (
    [f"{first} {last}".strip() for first in firsts for last in lasts if first != last]
    for firsts, lasts in ((WOMEN, LAST_OF_WOMEN), (MEN, LAST_OF_MEN))
)
_NAMES = _table(*_WOMEN, *_MEN)
#: How their addresses begin.
_SLUGS = _table(*(name.lower().replace(" ", ".") + "." for name in _NAMES))

_PROFILE = np.dtype(
    [
        ("province", np.int64),
        ("regency", np.int64),
        #: From the first of `_YEARS`.
        ("year", np.int64),
        #: So many more in a NIK's day of birth.
        ("day_more", np.int64),
        #: Where in the names theirs begin, and how many there are.
        ("first_name", np.int64),
        ("names", np.int64),
        #: Where its share of the days and sub-districts begins.
        ("base", np.int64),
    ]
)


class _Profiles:
    """10,000 kinds of people, as frequent as they are in the country."""

    def __init__(self, seed: int) -> None:
        rng = Random(seed)
        regencies = [(province, regency) for province in Province for regency in province.regencies]
        weights = [_MILLIONS[province] / len(province.regencies) for province, _ in regencies]
        ages = list(range(16, 61))
        age_weights = [next(weight for upto, weight in _AGES if age <= upto) for age in ages]
        alike: dict[tuple[int, int, int], int] = {}
        shifts: dict[tuple[int, int, int], int] = {}
        sexes: list[Sex] = []
        rows: list[tuple[int, ...]] = []
        while len(rows) < _PROFILES:
            ((province, regency),) = rng.choices(regencies, weights)
            sex = Sex.MALE if rng.randrange(100) < _MEN_IN_100 else Sex.FEMALE
            year = 2020 - rng.choices(ages, age_weights)[0]
            kind = (regency, sex, year)
            before = alike.get(kind, 0)
            if before < _ALIKE:
                alike[kind] = before + 1
                # Shifted alike for those who are alike; without, the first of every profile would be born on 1 January.
                base = before * _DEALT + shifts.setdefault(kind, rng.randrange(_PLACES))
                of_sex = (40, 0, len(_WOMEN)) if sex == FEMALE else (0, len(_WOMEN), len(_MEN))
                rows.append((province, regency, _YEARS.index(year), *of_sex, base))
                sexes.append(sex)
        self.rows = np.array(rows, dtype=_PROFILE)
        self.sexes = _table(*sexes)


def _other_kk(kk: str, bits: int) -> str:
    """A KK number with a slip: one digit, and of the date's year, so it still is a KK number, and still a made-up one."""
    return f"{kk[:11]}{(int(kk[11]) + 1 + bits % 9) % 10}0000"


def _day_beside(born: date) -> date:
    """A birth date with a slip in it: day and month swapped where that makes another date, else the day before or after."""
    if born.day <= 12 and born.day != born.month:
        return date(born.year, born.day, born.month)
    return born + timedelta(1 if born.day < 15 else -1)


def _of_256(*shares: int) -> tuple[int, ...]:
    """A table of 256 with the codes 1, 2, 3... as often as their shares say."""
    return tuple(code for code, share in enumerate(shares, 1) for _ in range(share))


#: Most have finished senior high school: an assumption, as are the next two.
_EDUCATION = _table(*map(Education, _of_256(20, 36, 141, 21, 38)))
_EMPLOYMENT = _table(*map(Employment, _of_256(133, 51, 15, 36, 21)))
_WRONG_CODES = np.array([0] * 230 + [1] * 21 + [2] * 5)
#: Where those live who moved: as people are spread over the country.
_HOMES = np.array(
    [
        province
        for province, upto in zip(_MILLIONS, accumulate(_MILLIONS.values()), strict=True)
        for _ in range(round(upto / 270.2 * 256) - round((upto - _MILLIONS[province]) / 270.2 * 256))
    ][:256]
)

# By code.
_FATES = _table(None, *Fate)
_PROVINCES = _table(*(Province(code) if code in _MILLIONS else None for code in range(100)))

# Addresses ------------------------------------------------------------------------------------------------------------

_DOMAINS = frozenset(("warga.example", "penuh.example", "hilang.example"))
_DOMAIN_OF_FATE = {Fate.MAILBOX_FULL: "@penuh.example", Fate.ADDRESS_UNKNOWN: "@hilang.example"}
_DOMAIN_OF = _table(None, *(_DOMAIN_OF_FATE.get(fate, "@warga.example") for fate in Fate))
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_BASE_36 = _table(*(a + b + c for a in _DIGITS for b in _DIGITS for c in _DIGITS))

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
_PREFIX_DIGITS = np.array([int(prefix) for prefix in _PREFIXES])
#: Subscribers below this are in service, the 10 million above it are dead. Both steps are prime to 10, so they permute.
_IN_SERVICE = 90_000_000
_DEAD = 10_000_000
#: More people than dead numbers: the prefix tells apart who has the same. 30 million people, so three groups.
_DEAD_GROUPS = CAPACITY // _DEAD
_SCATTER = 38_196_601
_UNSCATTER = pow(_SCATTER, -1, _IN_SERVICE)
_UNSCATTER_DEAD = pow(_SCATTER, -1, _DEAD)


def _phones(who: Numbers, bits: Bits, *, dead: NDArray[np.bool_]) -> Numbers:
    """Everybody's number, E.164 without the plus."""
    chance = part(bits, 16, 8)
    group, place = np.divmod(who, _DEAD)
    prefix = np.where(dead, chance % (len(_PREFIXES) // _DEAD_GROUPS) * _DEAD_GROUPS + group, chance * len(_PREFIXES) >> 8)
    subscriber = np.where(dead, _IN_SERVICE + place * _SCATTER % _DEAD, who * _SCATTER % _IN_SERVICE)
    return _PREFIX_DIGITS[prefix] * 1_000_000_000 + subscriber
