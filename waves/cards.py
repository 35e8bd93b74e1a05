"""Card numbers: 16 digits, the programme's four, eleven random ones, and one that checks the others (Luhn, ISO/IEC 7812-1)."""

import re
import secrets
from collections.abc import Sequence

from django.db.backends.utils import CursorWrapper
from django.utils.translation import gettext_lazy as _

from foundation.pg import array
from registrations.inputs import InputError, plain_digits

#: The first digits of each card.
PREFIX = "8020"


def clashes(cursor: CursorWrapper, cards: Sequence[int]) -> set[int]:
    """Where in `cards` a number stands that somebody has, or that stands there before. Among millions of random ones some do."""
    cursor.execute("SELECT card FROM waves_recipient WHERE card = ANY (%s::bigint[])", [array(cards)])
    given = {card for (card,) in cursor.fetchall()}
    first = {card: place for place, card in reversed(list(enumerate(cards)))}
    return {place for place, card in enumerate(cards) if card in given or first[card] != place}


def random_card() -> int:
    digits = f"{PREFIX}{secrets.randbelow(10**11):011}"
    return int(digits + str(check_digit(digits)))


def check_digit(digits: str) -> int:
    return -sum(map(int, digits[::-2].translate(_DOUBLED) + digits[-2::-2])) % 10


#: The sum of the digits of a digit's double.
_DOUBLED = str.maketrans("0123456789", "0246813579")


def parse(text: str) -> int:
    """The card number in `text`; spaces, dots and dashes are skipped. Raises `InputError`: `letters`, `length`, `no_card`."""
    digits = re.sub(r"[\s.\-]", "", plain_digits(text))
    if not (digits.isascii() and digits.isdigit()):
        raise InputError("letters", _("A card number has digits only."))
    if len(digits) != 16:
        raise InputError("length", _("A card number has 16 digits; this one has {count}."), count=len(digits))
    if not digits.startswith(PREFIX) or check_digit(digits[:-1]) != int(digits[-1]):
        raise InputError("no_card", _("No card has this number. Compare it digit by digit."))
    return int(digits)


def spoken(card: int) -> str:
    """As it is read: four times four digits."""
    text = f"{card:016}"
    return " ".join(text[start : start + 4] for start in range(0, 16, 4))
