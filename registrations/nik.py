"""NIK and KK: the numbers of a person and of a household, and what they tell about a slip of the finger.

A NIK is PPRRSS DDMMYY XXXX: province, regency and sub-district *of issue* (so retired codes and moves are legitimate), birth
date (a woman's day has 40 added) and a serial. A KK number is the same without the 40; its date is the day on which the
card was made. Neither has a check digit: only Dukcapil knows whether a number exists.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from registrations.inputs import SHORTENED, InputError, looks_shortened, plain_digits
from registrations.regions import LAST_SUB_DISTRICT, REGENCIES, Province

#: As `registrations.models.Sex`.
MALE = 1
FEMALE = 2

_PROVINCES = {str(province.value): province for province in Province}
# As nearly everybody writes it; all else is looked at closely.
_SIXTEEN = re.compile(r"[0-9]{16}")
# Spaces, dots, dashes of all kinds, and the apostrophe by which spreadsheets mark text.
_SEPARATORS = re.compile(r"^'|[\s.\-\u2010-\u2015\u2212]")


class NikError(InputError):
    """This cannot be a NIK, or a KK number; `code` and `message` say why."""


class Birth(NamedTuple):
    """What digits 7 to 12 of a NIK say."""

    day: int
    month: int
    #: Two digits.
    year: int
    sex: int
    #: The days that this may be, of both centuries; none when there is no such date.
    dates: tuple[date, ...]

    def __repr__(self) -> str:
        return "Birth()"  # none of it: this ends up in logs


class Nik(NamedTuple):
    """A well-formed NIK, taken apart."""

    #: The 16 digits.
    text: str
    province: Province
    birth: Birth

    def __repr__(self) -> str:
        return "Nik()"  # nor of this

    @property
    def regency(self) -> int:
        """Four digits, with the province; not every one is in force (`typo_guard`)."""
        return int(self.text[:4])

    @property
    def sub_district(self) -> int:
        """Two digits."""
        return int(self.text[4:6])

    @property
    def serial(self) -> int:
        return int(self.text[12:])

    @property
    def sex(self) -> int:
        return self.birth.sex

    def birth_date(self, *, today: date, typed: date | None = None) -> date:
        """The birth date; its century is that of `typed` if this fits, else the later one not after `today`."""
        possible = [born for born in self.birth.dates if born <= today]
        if typed in possible:
            return typed
        return max(possible, default=min(self.birth.dates))

    def _nearest(self, typed: date) -> date:
        possible = self.birth.dates
        return typed if typed in possible else min(possible, key=lambda born: abs(born - typed))


def parse_nik(text: str) -> Nik:
    """The NIK in `text`; spaces, dots and dashes are skipped, digits of other scripts are read as 0-9.

    Raises `NikError`: `empty`, `shortened`, `letters`, `length`, `province`, `day`, `date`. Serial 0000 passes: whether a
    number was issued, only the registry knows.
    """
    nik = text if _SIXTEEN.fullmatch(text) else _nik_digits(text)
    province = _PROVINCES.get(nik[:2])
    if province is None:
        raise NikError("province", _("No NIK begins with {digits}: there is no such province."), digits=nik[:2])
    birth = _birth(nik[6:12])
    if birth.dates:
        return Nik(nik, province, birth)
    if not 1 <= birth.day <= 31:
        raise NikError(
            "day",
            _("Digits 7-8 of a NIK are the day of birth: 01-31, or 41-71 for a woman. Yours are {digits}."),
            digits=nik[6:8],
        )
    raise NikError(
        "date",
        _("Digits 7-12 of a NIK are the birth date. There is no day {day}-{month}-{year}."),
        day=f"{birth.day:02}",
        month=nik[8:10],
        year=nik[10:12],
    )


def parse_kk(text: str) -> str:
    """The 16 digits of a KK number. Raises `NikError`: `empty`, `shortened`, `letters`, `length`, `date`."""
    kk = text if _SIXTEEN.fullmatch(text) else _kk_digits(text)
    if not _dates(kk[6:12]):
        raise NikError(
            "date", _("Digits 7-12 of a KK number are the date of the card; this is no date. Did you type your NIK here?")
        )
    return kk


def _nik_digits(text: str) -> str:
    return _sixteen_digits(
        text,
        empty=_("Please type your NIK: the 16 digits on your KTP."),
        letters=_("A NIK has digits only."),
        length=_("A NIK has 16 digits; this one has {count}."),
    )


def _kk_digits(text: str) -> str:
    return _sixteen_digits(
        text,
        empty=_("Please type your KK number: the 16 digits at the top of your family card."),
        letters=_("A KK number has digits only."),
        length=_("A KK number has 16 digits; this one has {count}."),
    )


def _sixteen_digits(text: str, *, empty: Any, letters: Any, length: Any) -> str:
    typed = plain_digits(text.strip())
    if looks_shortened(typed):
        raise NikError("shortened", SHORTENED)
    digits = _SEPARATORS.sub("", typed)
    if not digits:
        raise NikError("empty", empty)
    if not (digits.isascii() and digits.isdigit()):
        raise NikError("letters", letters)
    if len(digits) != 16:
        raise NikError("length", length, count=len(digits))
    return digits


@lru_cache(maxsize=1 << 17)  # more than there are: 36,525 days, and as many of women
def _birth(digits: str) -> Birth:
    day, month, year = int(digits[:2]), int(digits[2:4]), int(digits[4:])
    if day > 40:
        return Birth(day - 40, month, year, FEMALE, _dates(f"{day - 40:02}{digits[2:]}"))
    return Birth(day, month, year, MALE, _dates(digits))


@lru_cache(maxsize=1 << 16)  # more than there are: 36,525 days
def _dates(digits: str) -> tuple[date, ...]:
    """What a day, a month and a two-digit year may be, in both centuries; none when there is no such date."""
    day, month, year = int(digits[:2]), int(digits[2:4]), int(digits[4:])
    possible = []
    for century in (1900, 2000):  # 1900 had no 29 February, 2000 had; the others agree
        with suppress(ValueError):
            possible.append(date(century + year, month, day))
    return tuple(possible)


# Slips of the finger --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Doubt:
    """Something about what was typed that is probably a slip."""

    code: str
    message: Any = field(repr=False)
    #: The field to look at.
    field: str
    #: The digits of that field to look at, counted from 1.
    positions: tuple[int, ...]
    #: Whether this is a contradiction in what was typed, so that asking Dukcapil is of no use. Otherwise a warning.
    blocking: bool


def typo_guard(nik: Nik, birth_date: date, sex: int | None = None) -> list[Doubt]:
    """Where the NIK contradicts the birth date or sex beside it (blocking), or its regency or
    sub-district is not known (a warning).

    Measured on 20,000 made-up NIKs each (`tests/registrations/test_nik.py`): together with `parse_nik` it points at 61 % of
    wrong digits (42 % blocking) and 94 % of adjacent swaps (66 %) before Dukcapil is asked. With four different digits as
    serial, which nothing here can check, the swaps fall to 75 % (52 %).
    """
    return contradictions(nik, birth_date, sex) + _unknown_places(nik)


def contradictions(nik: Nik, birth_date: date, sex: int | None = None) -> list[Doubt]:
    """Where the NIK says another birth date or sex than stands beside it: the blocking ones of `typo_guard`."""
    doubts = []
    born = nik._nearest(birth_date)
    if born != birth_date:
        said = nik.birth[:3]
        typed = (birth_date.day, birth_date.month, birth_date.year % 100)
        doubts.append(
            Doubt(
                "birth_date",
                format_lazy(
                    _("Digits 7-12 of your NIK say {said}; you typed {typed} as your birth date. Look at both again."),
                    said=f"{born:%d-%m-%Y}",
                    typed=f"{birth_date:%d-%m-%Y}",
                ),
                "nik",
                tuple(_differing(said, typed)) or tuple(range(7, 13)),
                blocking=True,
            )
        )
    if sex is not None and sex != nik.sex:
        message = (
            _("Digits 7-8 of your NIK are those of a woman (day of birth plus 40); you said that you are a man.")
            if nik.sex == FEMALE
            else _("Digits 7-8 of your NIK are those of a man; you said that you are a woman (day of birth plus 40).")
        )
        doubts.append(Doubt("sex", message, "nik", (7, 8), blocking=True))
    return doubts


def _unknown_places(nik: Nik) -> list[Doubt]:
    if nik.regency not in REGENCIES:
        # Regencies split and their codes retire, but a NIK stays for life: this may well be right.
        message = format_lazy(
            _("Digits 1-4 of your NIK, {digits}, are of no regency that we know. Is that right?"), digits=nik.text[:4]
        )
        return [Doubt("regency", message, "nik", (3, 4), blocking=False)]
    if not 1 <= nik.sub_district <= LAST_SUB_DISTRICT[nik.regency]:
        message = format_lazy(
            _("Digits 1-6 of your NIK, {digits}, are of no sub-district that we know. Is that right?"), digits=nik.text[:6]
        )
        return [Doubt("sub_district", message, "nik", (5, 6), blocking=False)]
    return []


def kk_guard(kk: str, nik: Nik) -> list[Doubt]:
    """What is strange about a KK number: the same as the NIK (blocking), or of no regency that we know (a warning)."""
    doubts = []
    if kk == nik.text:
        message = _("You typed your NIK here. The KK number is at the top of your family card.")
        doubts.append(Doubt("kk_is_nik", message, "kk", tuple(range(1, 17)), blocking=True))
    elif int(kk[:4]) not in REGENCIES:
        message = format_lazy(
            _("Digits 1-4 of your KK number, {digits}, are of no regency that we know. Is that right?"), digits=kk[:4]
        )
        doubts.append(Doubt("kk_regency", message, "kk", (1, 2, 3, 4), blocking=False))
    return doubts


def _differing(said: tuple[int, int, int], typed: tuple[int, int, int]) -> Iterator[int]:
    """Positions in a NIK of the digits by which two dates (day, month, two-digit year) differ."""
    for place, (a, b) in enumerate(zip(said, typed, strict=True)):
        for offset, (x, y) in enumerate(zip(f"{a:02}", f"{b:02}", strict=True)):
            if x != y:
                yield 7 + 2 * place + offset
