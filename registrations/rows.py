"""The rows of an intake file: what the columns may say, and a sign-up of each row or what is wrong with it."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any, TypeAlias
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from foundation.sealing import digest
from registrations import inputs
from registrations.inputs import InputError
from registrations.intake import SignUp
from registrations.models import Education, Employment, Sex
from registrations.nik import Nik, contradictions, kk_guard, parse_kk, parse_nik
from registrations.person import Person
from registrations.regions import Province

# What the columns may say ---------------------------------------------------------------------------------------------


def _one_of(words: Mapping[str, Any], message: Any) -> Callable[[str], Any]:
    """Takes one of these words, in upper or lower case, with blanks, dashes or underscores between its parts."""

    @lru_cache(maxsize=1024)
    def clean(text: str) -> Any:
        try:
            return words[" ".join(text.lower().replace("_", " ").replace("-", " ").split())]
        except KeyError:
            raise InputError("unknown_word", message) from None

    return clean


def _words(enum: Iterable[Any], **more: str) -> dict[str, Any]:
    """Each member by its name, and by the Indonesian words given for it."""
    words = {}
    for member in enum:
        for word in (member.name, *more.get(member.name, "").split(", ")):
            words[word.lower().replace("_", " ")] = member
    words.pop("", None)
    return words


_YES_NO = {"ya": True, "yes": True, "true": True, "1": True, "tidak": False, "no": False, "false": False, "0": False}

_yes_or_no = _one_of(_YES_NO, _("Write ya or tidak."))
_sex = _one_of(
    _words(Sex, MALE="m, l, laki laki, pria", FEMALE="f, p, perempuan, wanita") | {"": None},
    _("Write laki-laki or perempuan."),
)
_education = _one_of(
    _words(
        Education,
        PRIMARY="sd, mi, paket a, tidak sekolah",
        JUNIOR="smp, mts, sltp, paket b",
        SENIOR="sma, smk, smu, ma, slta, paket c",
        DIPLOMA="d1, d2, d3, d4",
        DEGREE="s1, s2, s3, sarjana",
    ),
    _("Write sd, smp, sma, diploma or sarjana."),
)
_employment = _one_of(
    _words(
        Employment,
        JOB_SEEKER="mencari kerja, pencari kerja",
        LAID_OFF="phk, terkena phk",
        FURLOUGHED="dirumahkan",
        INFORMAL="usaha sendiri, wirausaha, pekerja informal",
        EMPLOYED="bekerja",
    ),
    _("Write mencari kerja, phk, dirumahkan, usaha sendiri or bekerja."),
)
_province = _one_of(
    _words(Province) | {str(province.value): province for province in Province} | {"": None},
    _("Write the name of a province, or the two digits of its code."),
)


def _consent(text: str) -> bool:
    if not _yes_or_no(text):
        raise InputError("consent", _("Without their consent nobody is registered."))
    return True


@lru_cache(maxsize=1 << 16)
def _birth_date(text: str) -> date:
    """1995-08-17, or with the day first and dashes, slashes or dots between: 17-08-1995, 17/8/1995."""
    parts = text.strip().replace("/", "-").replace(".", "-").split("-")
    if len(parts) == 3 and all(part.isascii() and part.isdigit() for part in parts):
        year, month, day = parts if len(parts[0]) == 4 else reversed(parts)
        if len(year) == 4 and len(month) <= 2 and len(day) <= 2:
            with suppress(ValueError):
                return date(int(year), int(month), int(day))
            raise InputError("no_such_date", _("There is no such date: check day, month and year."))
    raise InputError("invalid", _("Write the birth date as 1995-08-17 or 17-08-1995."))


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    #: Raises `InputError`.
    clean: Callable[[str], Any]
    #: Whether the column may be missing, and its values empty: the NIK says it too.
    optional: bool = False


COLUMNS = (
    Column("name", inputs.clean_name),
    Column("email", inputs.clean_email),
    Column("nik", parse_nik),
    Column("kk", parse_kk),
    Column("birth_date", _birth_date),
    Column("phone", inputs.clean_phone),
    Column("sex", _sex, optional=True),
    Column("province", _province, optional=True),
    Column("education", _education),
    Column("employment", _employment),
    Column("citizen", _yes_or_no),
    Column("studying", _yes_or_no),
    Column("consent", _consent),
)
BY_NAME = {column.name: column for column in COLUMNS}

#: Somebody made up: no issuer uses serial 0000.
TEMPLATE = (
    ",".join(BY_NAME),
    "Siti Rahmawati,siti@contoh.example,3273015708950000,3273011203160000,1995-08-17,081234567890,"
    "perempuan,Jawa Barat,sma,mencari kerja,ya,tidak,ya",
)


# What a row comes to --------------------------------------------------------------------------------------------------

#: What is wrong: the column, or "" for the whole row, and how, in words without any of the digits that stand there.
#: No exceptions: each would hold on to all that was at hand where it was raised.
Faults: TypeAlias = list[tuple[str, str]]


def read(names: Sequence[str], rows: Sequence[list[str]], *, at: datetime) -> list[SignUp | Faults]:
    """Make a sign-up, at this instant, of each row, or tell what is wrong with it; `names` are those of the columns."""
    fitting = [row for row in rows if len(row) == len(names)]
    if len(fitting) == len(rows):
        return _read(names, fitting, at)
    miscounted, outcomes = str(_("The row has {count} columns instead of {expected}.")), iter(_read(names, fitting, at))
    return [
        next(outcomes) if len(row) == len(names) else [("", miscounted.format(count=len(row), expected=len(names)))]
        for row in rows
    ]


def _read(names: Sequence[str], rows: Sequence[list[str]], at: datetime) -> list[SignUp | Faults]:
    """What comes of rows that have a value for each column. Column by column, which is much quicker than row by row."""
    faults: dict[int, Faults] = defaultdict(list)
    texts = dict(zip(names, zip(*rows, strict=True), strict=False))
    columns = [_cleaned(column, texts.get(column.name, [""] * len(rows)), faults) for column in COLUMNS]
    today = timezone.localdate(at)
    earliest = inputs.earliest_birth_date(today)
    outcomes: list[SignUp | Faults] = []
    for position, values in enumerate(zip(*columns, strict=True)):
        name, email, nik, kk, birth_date, phone, sex, province, education, employment, citizen, studying, _consent = values
        # Of nearly every row these few looks are enough; the rules judge, and name, all the rest.
        plain = (
            position not in faults
            and earliest <= birth_date <= today
            and birth_date in nik.birth.dates
            and (sex is None or sex == nik.sex)
            and kk != nik.text
        )
        if not plain:
            doubtful = [*faults.get(position, ()), *_doubts(nik, kk, birth_date, sex, today)]
            if doubtful:
                outcomes.append(doubtful)
                continue
        outcomes.append(
            SignUp(
                _reference(nik.text),
                Person(name, email, nik.text, kk, birth_date, phone),
                sex or _SEXES[nik.sex],
                province or nik.province,
                education,
                employment,
                citizen,
                studying,
                at,
            )
        )
    return outcomes


def _cleaned(column: Column, texts: Sequence[str], faults: dict[int, Faults]) -> list[Any]:
    """The column's values; for what is wrong None, and what is wrong with it among the `faults` of its row."""
    try:
        return list(map(column.clean, texts))
    except InputError:
        values = []
        for position, text in enumerate(texts):
            try:
                values.append(column.clean(text))
            except InputError as error:
                values.append(None)
                faults[position].append(_fault(column.name, error.code, error.message))
        return values


def _doubts(nik: Nik | None, kk: str | None, birth_date: date | None, sex: Sex | None, today: date) -> Faults:
    """What cannot be true, or contradicts itself: the typo guard of the sign-up form. Mere doubts pass: nobody is there to confirm.

    None is what is missing, or wrong already.
    """
    faults: Faults = []
    if birth_date:
        try:
            inputs.clean_birth_date(birth_date, today)
        except InputError as error:
            faults.append(_fault("birth_date", error.code, error.message))
    if nik:
        doubts = contradictions(nik, birth_date, sex) if birth_date else []
        if kk:
            doubts += kk_guard(kk, nik)
        faults += [_fault(doubt.field, doubt.code, doubt.message) for doubt in doubts if doubt.blocking]
    return faults


_SEXES = {sex.value: sex for sex in Sex}


def _reference(nik: str) -> UUID:
    """One NIK, one reference: whoever stands in two files, or in a file that is taken in again, is registered once."""
    return UUID(int=int(digest("intake", nik), 16))


#: What repeats some of the digits where people read of their own data, said without them.
_WITHOUT_DIGITS: Mapping[tuple[str, str], Any] = {
    ("nik", "province"): _("No NIK begins with these two digits: there is no such province."),
    ("nik", "day"): _("Digits 7-8 of a NIK are the day of birth: 01-31, or 41-71 for a woman."),
    ("nik", "date"): _("Digits 7-12 of a NIK are the birth date. These are none."),
    ("nik", "birth_date"): _("Digits 7-12 of the NIK say another birth date than this row."),
    ("nik", "sex"): _("Digits 7-8 of the NIK say another sex than this row."),
}


def _fault(field: str, code: str, message: Any) -> tuple[str, str]:
    return field, str(_WITHOUT_DIGITS.get((field, code), message))
