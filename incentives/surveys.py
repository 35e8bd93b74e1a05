"""Surveys: an answer in time is paid, in its own window after the first incentive."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from django.db import connection, transaction

from foundation.pg import array, instants, timestamptz
from incentives import gating, terms
from incentives.holding import hold
from incentives.models import SurveyAnswer, number


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


def windows(first_paid_at: datetime) -> list[Window]:
    """When the surveys can be answered by somebody whose first incentive was paid then."""
    rules = terms.of(first_paid_at)
    return [Window(survey, *rules.survey_window(survey, first_paid_at)) for survey in range(1, rules.surveys + 1)]


def answer(answers: Sequence[Answer]) -> list[Outcome]:
    """Open the incentives for these answers, as far as they are in time; one outcome each, in order."""
    with transaction.atomic():
        held = hold(entry.registrant_id for entry in answers)
        first_paid = _first_paid([entry.registrant_id for entry in answers])
        outcomes = [_judge(entry, first_paid) for entry in answers]
        in_time = {
            number(entry.registrant_id, terms.of(entry.at).survey_item(entry.survey)): entry
            for entry, outcome in zip(answers, outcomes, strict=True)
            if outcome is Outcome.OPENED
        }
        opened = _insert(in_time, gating.gates_of(held))
        SurveyAnswer.objects.bulk_create(
            SurveyAnswer(registrant_id=entry.registrant_id, survey=entry.survey, at=entry.at, told=dict(entry.told))
            for id, entry in in_time.items()
            if id in opened and entry.told
        )
    found = []
    for entry, outcome in zip(answers, outcomes, strict=True):
        id = number(entry.registrant_id, terms.of(entry.at).survey_item(entry.survey)) if outcome is Outcome.OPENED else 0
        found.append(Outcome.ALREADY if outcome is Outcome.OPENED and id not in opened else outcome)
        opened.discard(id)  # answered twice in this call: the second time changes nothing
    return found


def _judge(entry: Answer, first_paid: Mapping[int, datetime]) -> Outcome:
    if not 1 <= entry.survey <= terms.of(entry.at).surveys:
        return Outcome.UNKNOWN_SURVEY
    if entry.registrant_id not in first_paid:
        return Outcome.NO_INCENTIVE
    window = windows(first_paid[entry.registrant_id])[entry.survey - 1]
    if entry.at < window.opens_at:
        return Outcome.NOT_YET
    return Outcome.OPENED if entry.at < window.closes_at else Outcome.CLOSED


def _first_paid(ids: Sequence[int]) -> dict[int, datetime]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT id, incentive_received_at FROM registrations_registrant
            WHERE id = ANY (%s::bigint[]) AND incentive_received_at IS NOT NULL
            """,
            [array(ids)],
        )
        return dict(cursor.fetchall())


def _insert(answers: Mapping[int, Answer], found: Mapping[int, int]) -> set[int]:
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
                array(terms.of(entry.at).survey for entry in answers.values()),
                array(found.get(entry.registrant_id, 0) for entry in answers.values()),
            ],
        )
        return {id for (id,) in cursor.fetchall()}
