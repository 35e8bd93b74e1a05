"""The made-up people whom the mock civil registry knows: a pure function of the NIK, so that it stores nobody.

Their NIKs end in serial 0000, which no issuer uses: a well-formed number with any other serial may be a real person's.
"""

from datetime import date
from functools import lru_cache
from zlib import crc32

from registrations.nik import FEMALE
from registrations.regions import Province

_PROVINCES = frozenset(str(code) for code in Province.values)
#: Two-digit years up to this one are of this century. A rule of the mock: a real registry knows the whole year.
_LAST_YEAR_OF_THIS_CENTURY = 10
#: Cards made from 2015 to 2019; few enough that some people share a household.
_CARDS = tuple(f"{day:02}{month:02}{year}0000" for year in range(15, 20) for month in range(1, 13) for day in range(1, 29))


def known(nik: str) -> bool:
    """Whether the registry knows this NIK: serial 0000, a province of 2020, sub-district 01-89, a real birth date."""
    return (
        len(nik) == 16
        and nik[12:] == "0000"
        and nik[:2] in _PROVINCES
        and nik.isascii()
        and nik.isdigit()
        and "00" < nik[4:6] < "90"
        and _birth_date(nik[6:12]) is not None
    )


def kk_of(nik: str) -> str:
    """The number of the household that a person is registered in: the region of the NIK, a date, serial 0000."""
    return nik[:6] + _CARDS[crc32(nik.encode()) % len(_CARDS)]


def birth_date_of(nik: str) -> date:
    """The birth date of somebody known; years 00-10 are 2000-2010, all others of the century before."""
    born = _birth_date(nik[6:12])
    if born is None:
        raise ValueError("this NIK holds no birth date")
    return born


def make_nik(regency: int, sub_district: int, birth_date: date, sex: int) -> str:
    """The NIK of somebody made up. `sub_district` 1-89; from 90 on, the registry does not know it."""
    day = birth_date.day + 40 * (sex == FEMALE)
    return f"{regency:04}{sub_district:02}{day:02}{birth_date:%m%y}0000"


@lru_cache(maxsize=1 << 17)  # as many as there are
def _birth_date(digits: str) -> date | None:
    day, month, year = int(digits[:2]), int(digits[2:4]), int(digits[4:])
    try:
        return date(year + (2000 if year <= _LAST_YEAR_OF_THIS_CENTURY else 1900), month, day - 40 if day > 40 else day)
    except ValueError:
        return None
