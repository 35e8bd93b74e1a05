"""Incentives as the regulations have them, by the day on which a first training is completed.

Who has completed it keeps the terms of that day for all that follows, whatever comes into force meanwhile. What reckons by them takes
the rows as an argument: those of `TERMS`, unless told otherwise.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import NamedTuple

from registrations.regions import WIB

#: Items of one person's incentives: the months from 1 on, and the surveys behind them. A person's whole list fits below 16.
FIRST_SURVEY = 5
ITEMS = 16

SHORTEST_MONTH = timedelta(days=28)


class Due(NamedTuple):
    """A month's incentive."""

    item: int
    #: So many calendar months after the first completion.
    months: int
    rupiah: int


@dataclass(frozen=True, slots=True)
class Terms:
    #: Of first trainings that are completed from this day on, in Jakarta.
    since: date
    months: int
    monthly: int
    surveys: int
    survey: int
    #: Survey 1 opens so long after the first incentive was paid, survey 2 as long after that, and so on.
    survey_opens_after: timedelta
    survey_open_for: timedelta
    #: After the answer.
    survey_paid_within: timedelta
    #: How long a change waits that is asked for, from `since` on, without the phone of before. A rule of ours: the time in which a
    #: notice is read.
    change_waits: timedelta
    #: So long counts what a payer has said of an account: before anything more is paid into it, it is asked again. A rule of ours.
    check_lives: timedelta
    sources: str

    def __post_init__(self) -> None:
        if self.months >= FIRST_SURVEY or FIRST_SURVEY + self.surveys > ITEMS:
            raise ValueError("the items of these terms get in each other's way")

    def monthly_items(self) -> Iterator[Due]:
        for month in range(1, self.months + 1):
            yield Due(month, month - 1, self.monthly)

    def months_before(self, until: datetime, completed_at: datetime) -> int:
        """How many months' incentives can be due before then, at most."""
        return sum(completed_at + due.months * SHORTEST_MONTH < until for due in self.monthly_items())

    def surveys_before(self, until: datetime, first_paid_at: datetime) -> list[int]:
        """The surveys that open before then."""
        return [number for number in range(1, self.surveys + 1) if self.survey_window(number, first_paid_at)[0] < until]

    def survey_window(self, number: int, first_paid_at: datetime) -> tuple[datetime, datetime]:
        """From when on, and until when, this survey can be answered."""
        opens = first_paid_at + number * self.survey_opens_after
        return opens, opens + self.survey_open_for


TERMS = (
    Terms(
        since=date(2020, 4, 1),
        months=4,
        monthly=600_000,
        surveys=3,
        survey=50_000,
        survey_opens_after=timedelta(days=30),
        survey_open_for=timedelta(days=30),
        survey_paid_within=timedelta(days=14),
        change_waits=timedelta(days=7),
        check_lives=timedelta(days=60),
        sources="Permenko 11/2020: Rp600.000 x 4 months after the first training, 3 surveys x Rp50.000; the programme's own answers "
        "to questions: survey 1 opens 30 days after the first incentive, is open for 30 days, and is paid within 14",
    ),
)


LAST_ITEM = max(FIRST_SURVEY + terms.surveys - 1 for terms in TERMS)


def of(at: datetime, rows: Sequence[Terms] = TERMS) -> Terms:
    """The terms in force at this instant, of rows in the order of their days; before the programme, the first ones."""
    day = at.astimezone(WIB).date()
    return next((terms for terms in reversed(rows) if terms.since <= day), rows[0])


class Period(NamedTuple):
    """From when on, and before when, terms are in force."""

    terms: Terms
    since: datetime
    until: datetime


def periods(rows: Sequence[Terms] = TERMS) -> list[Period]:
    """All terms with their times, which follow each other; the first ones hold before the programme, too."""
    changes = [datetime.combine(terms.since, time.min, WIB) for terms in rows[1:]]
    times = zip(rows, [_BEFORE_ALL, *changes], [*changes, _AFTER_ALL], strict=True)
    return [Period(*entry) for entry in times]


_BEFORE_ALL, _AFTER_ALL = datetime(1970, 1, 1, tzinfo=WIB), datetime(9999, 1, 1, tzinfo=WIB)


def survey_item(number: int) -> int:
    """The item of a survey, from 1 on."""
    return FIRST_SURVEY + number - 1


def is_survey(item: int) -> bool:
    return item >= FIRST_SURVEY
