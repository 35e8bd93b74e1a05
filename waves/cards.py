"""Card numbers: 16 digits, the programme's four, eleven random ones, and one that checks the others (Luhn, ISO/IEC 7812-1)."""

import secrets

from django.db.backends.utils import CursorWrapper

from foundation.pg import array

#: The first digits of each card.
PREFIX = "8020"


def new(cursor: CursorWrapper, count: int) -> list[int]:
    """So many card numbers that nobody has. Among millions of random ones some are the same."""
    cards: set[int] = set()
    while len(cards) < count:
        cards.update(random_card() for _ in range(count - len(cards)))
        cursor.execute("SELECT card FROM waves_recipient WHERE card = ANY (%s::bigint[])", [array(cards)])
        cards.difference_update(card for (card,) in cursor.fetchall())
    return list(cards)


def random_card() -> int:
    digits = f"{PREFIX}{secrets.randbelow(10**11):011}"
    return int(digits + str(check_digit(digits)))


def check_digit(digits: str) -> int:
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[::-2])
    return -(doubled + sum(map(int, digits[-2::-2]))) % 10


def spoken(card: int) -> str:
    """As it is read: four times four digits."""
    text = f"{card:016}"
    return " ".join(text[start : start + 4] for start in range(0, 16, 4))
