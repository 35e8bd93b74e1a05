"""What people type, cleaned; or an `InputError` that tells them, kindly, what to change.

What is accepted once is accepted again unchanged: cleaning twice is cleaning once. What nearly everybody types matches a
pattern and passes at once: a file of a million rows is read many times as fast. The rules judge, and name, all the rest.
"""

import re
import unicodedata
from datetime import date
from typing import Any

import phonenumbers
from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from phonenumbers import NumberParseException, PhoneNumberFormat, PhoneNumberType, carrier

NAME_LENGTH = 150
EMAIL_LENGTH = 254
#: Nobody is known to have grown older than 122.
OLDEST = 120


class InputError(ValueError):
    """What somebody typed cannot be taken.

    `code` is for programs, `message` (translated when shown) for the person. Neither repeats what was typed, so that
    neither a log nor an error page does.
    """

    def __init__(self, code: str, message: Any, **values: object) -> None:
        super().__init__(code)
        self.code = code
        self.message = format_lazy(message, **values) if values else message


# Characters -----------------------------------------------------------------------------------------------------------

_EDGES = " \t\r\n"
#: ZWNJ and ZWJ: some scripts need them inside words.
_JOINERS = "\u200c\u200d"
#: They count as letters, marks or signs, and yet nobody sees them.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_SHORTENED = re.compile(r"\d+([.,]\d+)?[eE]\+?\d+")


def _unseen(char: str) -> bool:
    """Whether `char` is a control (NUL, bidi, zero-width, line separator...), half a character, or blank by trick."""
    category = unicodedata.category(char)
    return category[0] == "C" or category in ("Zl", "Zp") or char in _BLANK


def plain_digits(text: str) -> str:
    """`text` with the digits of any script (full-width, Arabic...) as 0-9: whoever types them means the same number."""
    if text.isascii():
        return text
    return "".join(str(unicodedata.decimal(char)) if char.isdecimal() else char for char in text)


def looks_shortened(text: str) -> bool:
    """Whether `text` is a long number as spreadsheets shorten it (3.2E+15); its last digits are lost."""
    return _SHORTENED.fullmatch(text) is not None


SHORTENED = _("This looks like a number that a spreadsheet has shortened. Format the column as text and type it again.")


# Names ----------------------------------------------------------------------------------------------------------------


# ASCII that can be seen, a letter among it, single spaces.
_PLAIN_NAME = re.compile(r"(?=[^A-Za-z]*[A-Za-z])[!-~]+(?: [!-~]+)*")


def clean_name(text: str) -> str:
    """The name in NFC, trimmed, with single spaces. 1 to 150 characters, of whatever script; one letter is a name.

    Raises `InputError`: `empty`, `unseen_character`, `no_letter`, `too_long`.
    """
    return text if len(text) <= NAME_LENGTH and _PLAIN_NAME.fullmatch(text) else _examined_name(text)


def _examined_name(text: str) -> str:
    name = unicodedata.normalize("NFC", text.strip(_EDGES))
    name = " ".join("".join(" " if unicodedata.category(char) == "Zs" else char for char in name).split(" "))
    name = re.sub(" +", " ", name).strip(" ")
    if not name:
        raise InputError("empty", _("Please type your name."))
    before = " "
    for char in name:
        # A joiner may stand after a letter or mark of a script that joins; in Latin names it only hides.
        joins = char in _JOINERS and not before.isascii() and unicodedata.category(before)[0] in "LM"
        if _unseen(char) and not joins:
            raise InputError(
                "unseen_character", _("This name holds a character that cannot be seen. Type it again by hand.")
            )
        before = char
    if not any(char.isalpha() for char in name):
        raise InputError("no_letter", _("A name has at least one letter."))
    if len(name) > NAME_LENGTH:
        raise InputError(
            "too_long",
            _("A name has at most {most} characters; this one has {count}."),
            most=NAME_LENGTH,
            count=len(name),
        )
    return name


# E-mail ---------------------------------------------------------------------------------------------------------------

# No allow-list: mail to "localhost" would stay in our own house.
_is_email = EmailValidator(allowlist=[])
_PLAIN_EMAIL = re.compile(
    r"(?=[^@]{1,64}@)[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}"
)


def clean_email(text: str) -> str:
    """The address with its domain in lower case (in ASCII, if international); the part before the @ stays as typed.

    Raises `InputError`: `empty`, `unseen_character`, `space`, `no_at`, `too_long`, `invalid`.
    """
    return text if len(text) <= EMAIL_LENGTH and _PLAIN_EMAIL.fullmatch(text) else _examined_email(text)


def _examined_email(text: str) -> str:
    email = text.strip(_EDGES)
    if not email:
        raise InputError("empty", _("Please type your e-mail address."))
    if any(_unseen(char) or char in _JOINERS for char in email):
        raise InputError("unseen_character", _("This address holds a character that cannot be seen. Type it again by hand."))
    if any(char.isspace() for char in email):
        raise InputError("space", _("An e-mail address has no spaces."))
    if email.count("@") != 1:
        raise InputError("no_at", _("An e-mail address has one @, as in nama@contoh.id."))
    if len(email) > EMAIL_LENGTH:
        raise _too_long_email(len(email))

    local, domain = email.split("@")
    invalid = InputError("invalid", _("This is not an e-mail address. It looks like nama@contoh.id."))
    # ASCII: Django's pattern ignores case, so it would take the Kelvin sign for a k. No quotes, no [10.0.0.1]: hardly
    # anybody has such an address, many mail systems stumble over it.
    if not local.isascii() or '"' in local or len(local) > 64 or "[" in domain:
        raise invalid
    try:
        email = f"{local}@{domain.encode('idna').decode().lower()}"
        _is_email(email)
    except (UnicodeError, ValidationError):
        raise invalid from None
    if len(email) > EMAIL_LENGTH:
        raise _too_long_email(len(email))
    return email


def _too_long_email(count: int) -> InputError:
    message = _("An e-mail address has at most {most} characters; this one has {count}.")
    return InputError("too_long", message, most=EMAIL_LENGTH, count=count)


#: What most people have.
_USUAL = ("gmail.com", "yahoo.com", "yahoo.co.id", "ymail.com", "hotmail.com", "outlook.com", "icloud.com", "rocketmail.com")
#: They exist too, though they look like a slip.
_RARE = frozenset(("mail.com", "email.com", "gmx.com", "aol.com", "live.com", "yahoo.co.in", "yahoo.co.uk", "outlook.co.id"))
#: Too far from the right domain to be a slip of the finger, and yet often typed.
_WRONG = {"gmail.co.id": "gmail.com", "gmail.id": "gmail.com", "google.com": "gmail.com", "gmail": "gmail.com"}


def email_hint(email: str) -> str | None:
    """The address that was probably meant (`gmial.com` -> `gmail.com`), or None. A suggestion, never an error."""
    local, at, domain = email.rpartition("@")
    domain = domain.lower()
    if not at or domain in _USUAL or domain in _RARE or len(domain) > 20:
        return None
    if meant := _WRONG.get(domain):
        return f"{local}@{meant}"
    slips, meant = min((_slips(domain, usual), usual) for usual in _USUAL)
    return f"{local}@{meant}" if slips <= (1 if len(domain) < 9 or domain[0] != meant[0] else 2) else None


def _slips(typed: str, meant: str) -> int:
    """How many slips of the finger (a letter wrong, missing, too many, or two swapped) lie between two words."""
    before: list[int] = []
    above = list(range(len(meant) + 1))
    for i, a in enumerate(typed, 1):
        row = [i]
        for j, b in enumerate(meant, 1):
            cost = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a != b))
            if i > 1 and j > 1 and a == meant[j - 2] and typed[i - 2] == b:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, above = above, row
    return above[-1]


# Phones ---------------------------------------------------------------------------------------------------------------


# What the library takes for an Indonesian mobile number, written as nearly everybody writes it.
_MOBILE = re.compile(r"(?:\+?62|0)?(8[1-35-9][0-9]{7,10})")


def clean_phone(text: str) -> str:
    """An Indonesian mobile number as E.164: +628..., from 08..., 628..., +62 8..., with spaces, dots or dashes.

    Raises `InputError`: `empty`, `shortened`, `not_a_number`, `foreign`, `landline`, `not_mobile`, `too_short`,
    `too_long`, `invalid`.
    """
    if plain := _MOBILE.fullmatch(text):
        return f"+62{plain[1]}"
    typed = plain_digits(text.strip(_EDGES))
    if not typed:
        raise InputError("empty", _("Please type your mobile number."))
    if looks_shortened(typed):
        raise InputError("shortened", SHORTENED)
    number = re.sub(r"[\s().\-\u2010-\u2015\u2212]", "", typed)
    # Letters as well: the library below would read 0812-PRAKERJA as digits.
    if not re.fullmatch(r"\+?[0-9]+", number):
        raise InputError("not_a_number", _("A mobile number has digits only, as in 0812 3456 7890."))
    if number.startswith("0062"):
        number = "+" + number[2:]
    if plain := _MOBILE.fullmatch(number):
        return f"+62{plain[1]}"
    invalid = InputError("invalid", _("This is not a mobile number. It looks like 0812 3456 7890."))
    try:
        phone = phonenumbers.parse(number[:17], "ID")
    except NumberParseException:
        raise invalid from None
    if phone.country_code != 62:
        raise InputError("foreign", _("Please give an Indonesian mobile number (+62): the code is sent there by SMS."))
    national = str(phone.national_number)
    if national.startswith("8") and len(national) < 9:
        raise InputError("too_short", _("This number is too short: a mobile number has 10 to 13 digits, with the 0."))
    if national.startswith("8") and len(national) > 12:
        raise InputError("too_long", _("This number is too long: a mobile number has 10 to 13 digits, with the 0."))
    if not phonenumbers.is_valid_number(phone):
        raise invalid
    match phonenumbers.number_type(phone):
        case PhoneNumberType.MOBILE:
            return phonenumbers.format_number(phone, PhoneNumberFormat.E164)
        case PhoneNumberType.FIXED_LINE:
            raise InputError("landline", _("This is a landline: it gets no SMS. Please give a mobile number."))
        case _:
            raise InputError("not_mobile", _("This number gets no SMS. Please give a mobile number."))


def operator(phone: str) -> str:
    """Whose network an E.164 number was issued in ("Telkomsel"), or "" if that is not known."""
    return carrier.name_for_number(phonenumbers.parse(phone), "en")


# Dates ----------------------------------------------------------------------------------------------------------------


def earliest_birth_date(today: date) -> date:
    """When somebody was born who is as old today as anybody can be."""
    year = max(today.year - OLDEST, date.min.year)
    try:
        return today.replace(year=year)
    except ValueError:  # there was no 29 February in 1900
        return date(year, 3, 1)


def clean_birth_date(born: date, today: date) -> date:
    """`born`, if somebody alive today can be born then. Raises `InputError`: `future`, `too_old`.

    How old one must be to take part is the programme's rule, not a question of typing.
    """
    if born > today:
        raise InputError("future", _("This birth date is in the future."))
    if born < earliest_birth_date(today):
        raise InputError("too_old", _("This birth date is more than {years} years ago."), years=OLDEST)
    return born


# Masks: enough for the owner to recognise, too little for anybody else to use ----------------------------------------


def mask_name(name: str) -> str:
    """`Siti Rahmawati` -> `S*** R***`."""
    return " ".join(f"{word[0]}***" for word in name.split())


def mask_email(email: str) -> str:
    """`siti@gmail.com` -> `s***i@g***.com`. The suffix stays, the rest of the domain may name an employer."""
    local, at, domain = email.rpartition("@")
    if not at or not local or not domain:
        return "***"
    suffix = domain.rpartition(".")[2] if "." in domain else ""
    last = local[-1] if len(local) > 3 else ""
    return f"{local[0]}***{last}@{domain[0]}***{'.' if suffix else ''}{suffix}"


def mask_phone(phone: str) -> str:
    """`+6281234567890` -> `+62812******90`."""
    return _mask(phone, 6, 2) if len(phone) >= 11 else "***"


def mask_nik(nik: str) -> str:
    """`3171015708900000` -> `317101********00`: where it was issued and its end; birth date and sex stay hidden."""
    return _mask(nik, 6, 2) if len(nik) == 16 else "***"


def _mask(text: str, head: int, tail: int) -> str:
    return text[:head] + "*" * (len(text) - head - tail) + text[-tail:]
