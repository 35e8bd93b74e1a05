"""Surveys: an answer in time is paid, in its own window after the first incentive."""

from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from django.db import connection, transaction

from foundation.pg import array, instants, timestamptz
from incentives import gating, terms
from incentives.models import SurveyAnswer, number
from incentives.terms import TERMS, Terms
from registrations.holding import hold


class Answer(NamedTuple):
    """Somebody has answered a survey; `survey`: from 1 on."""

    registrant_id: int
    survey: int
    at: datetime
    #: The choice by question; none: it was answered elsewhere.
    told: Mapping[str, int] | None = None


class Outcome(Enum):
    OPENED = "opened"
    ALREADY = "already"
    NOT_YET = "not yet"
    CLOSED = "closed"
    #: No incentive has been paid so far.
    NO_INCENTIVE = "no incentive"
    UNKNOWN_SURVEY = "unknown survey"


class Window(NamedTuple):
    survey: int
    opens_at: datetime
    closes_at: datetime


def windows(first_paid_at: datetime, rules: Terms) -> list[Window]:
    """When the surveys can be answered by somebody of these terms whose first incentive was paid then."""
    return [Window(survey, *rules.survey_window(survey, first_paid_at)) for survey in range(1, rules.surveys + 1)]


class Survey(NamedTuple):
    """A survey as its owner sees it."""

    window: Window
    #: `answered`, `open`, `to come`, `over`.
    state: str


def standing(windows: Iterable[Window], answered: Container[int], *, at: datetime) -> list[Survey]:
    """How somebody's surveys stand at this instant; `answered`: the numbers of those that were."""
    return [Survey(window, _state_of(window, answered, at)) for window in windows]


def _state_of(window: Window, answered: Container[int], at: datetime) -> str:
    if window.survey in answered:
        return "answered"
    if at < window.opens_at:
        return "to come"
    return "open" if at < window.closes_at else "over"


class _Paid(NamedTuple):
    """Somebody who has received an incentive: by which terms, and when the first."""

    rules: Terms
    first_at: datetime


def answer(answers: Sequence[Answer], *, rows: Sequence[Terms] = TERMS) -> list[Outcome]:
    """Open the incentives for these answers, as far as they are in time; one outcome each, in order."""
    with transaction.atomic():
        held = hold(entry.registrant_id for entry in answers)
        paid = _paid([entry.registrant_id for entry in answers], rows)
        outcomes = [_judge(entry, paid.get(entry.registrant_id)) for entry in answers]
        in_time = {
            _number(entry): entry for entry, outcome in zip(answers, outcomes, strict=True) if outcome is Outcome.OPENED
        }
        amounts = [paid[entry.registrant_id].rules.survey for entry in in_time.values()]
        opened = _insert(in_time, amounts, gating.gates_of(held))
        SurveyAnswer.objects.bulk_create(
            SurveyAnswer(registrant_id=entry.registrant_id, survey=entry.survey, at=entry.at, told=dict(entry.told))
            for id, entry in in_time.items()
            if id in opened and entry.told
        )
    found = []
    for entry, outcome in zip(answers, outcomes, strict=True):
        id = _number(entry) if outcome is Outcome.OPENED else 0
        found.append(Outcome.ALREADY if outcome is Outcome.OPENED and id not in opened else outcome)
        opened.discard(id)  # answered twice in this call: the second time changes nothing
    return found


def _number(entry: Answer) -> int:
    return number(entry.registrant_id, terms.survey_item(entry.survey))


def _judge(entry: Answer, paid: _Paid | None) -> Outcome:
    if paid is None:
        return Outcome.NO_INCENTIVE
    found = windows(paid.first_at, paid.rules)
    if not 1 <= entry.survey <= len(found):
        return Outcome.UNKNOWN_SURVEY
    window = found[entry.survey - 1]
    if entry.at < window.opens_at:
        return Outcome.NOT_YET
    return Outcome.OPENED if entry.at < window.closes_at else Outcome.CLOSED


def _paid(ids: Sequence[int], rows: Sequence[Terms]) -> dict[int, _Paid]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT id, training_completed_at, incentive_received_at FROM registrations_registrant
            WHERE id = ANY (%s::bigint[]) AND incentive_received_at IS NOT NULL
            """,
            [array(ids)],
        )
        return {id: _Paid(terms.of(completed_at, rows), first_at) for id, completed_at, first_at in cursor.fetchall()}


def _insert(answers: Mapping[int, Answer], amounts: Sequence[int], found: Mapping[int, int]) -> set[int]:
    if not answers:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO incentives_obligation (id, due_at, amount, state, gate, attempt)
            SELECT id, {timestamptz("at")}, rupiah, 1, gate, 0
            FROM unnest(%s::bigint[], %s::bigint[], %s::int[], %s::smallint[]) AS new (id, at, rupiah, gate)
            ORDER BY id ON CONFLICT DO NOTHING RETURNING id
            """,
            [
                array(answers),
                instants(entry.at for entry in answers.values()),
                array(amounts),
                array(found.get(entry.registrant_id, 0) for entry in answers.values()),
            ],
        )
        return {id for (id,) in cursor.fetchall()}
