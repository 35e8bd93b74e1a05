"""The training balance as the regulations have it, by the year of the decree that names a recipient."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cache

from registrations.regions import WIB


@dataclass(frozen=True, slots=True)
class Terms:
    #: From this year on, until newer terms.
    since: int
    #: What a recipient may spend on trainings, in rupiah.
    balance: int
    #: Month and day of the decree's year: until the end of it, in Jakarta, the balance may be spent.
    last_day: tuple[int, int]
    sources: str

    def use_by(self, year: int) -> datetime:
        """Before this instant the balance of that year's recipients is spent."""
        return datetime.combine(date(year, *self.last_day) + timedelta(days=1), time(), WIB)


TERMS = (
    Terms(
        since=2020,
        balance=1_000_000,
        last_day=(12, 15),
        sources="Permenko 11/2020 art. 19: Rp1.000.000, used by 15 December; several trainings, never above the balance",
    ),
)


@cache
def of(year: int) -> Terms:
    """The terms in force in a year; for years before the programme, the first ones."""
    return next((terms for terms in reversed(TERMS) if terms.since <= year), TERMS[0])
