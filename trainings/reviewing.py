"""Reviewing: a registrant rates a training that they completed, from 1 to 5, and says why. Once for each training."""

from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from django.db import connection, transaction

from foundation import work
from foundation.pg import array, instants, timestamptz
from trainings.literals import texts
from trainings.models import Purchase

RATINGS = range(1, 6)
LONGEST = 2000


class Opinion(NamedTuple):
    registrant_id: int
    purchase_id: int
    rating: int
    text: str
    at: datetime

    @property
    def words(self) -> str:
        return self.text.strip()


class Outcome(Enum):
    REVIEWED = "reviewed"
    #: The first word stands.
    ALREADY = "already"
    #: Or another registrant's.
    UNKNOWN = "unknown"
    NOT_COMPLETED = "not completed"
    BAD_RATING = "bad rating"
    BAD_TEXT = "bad text"


def review(opinions: Sequence[Opinion]) -> list[Outcome]:
    """Write down what these registrants say of their own trainings; one outcome each, in order."""
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT id, registrant_id, state, is_first FROM trainings_purchase WHERE id = ANY (%s::bigint[])
            """,
            [array(opinion.purchase_id for opinion in opinions)],
        )
        purchases = {id: (registrant, state, is_first) for id, registrant, state, is_first in cursor.fetchall()}
        decided = [_decide(opinion, purchases.get(opinion.purchase_id)) for opinion in opinions]
        # In one order: nobody who waits for another's word is waited for.
        wanted: dict[int, Opinion] = {}
        for opinion, outcome in zip(opinions, decided, strict=True):
            if outcome is Outcome.REVIEWED:
                wanted.setdefault(opinion.purchase_id, opinion)
        written = _write([wanted[id] for id in sorted(wanted)])
        work.enqueue("gates", [purchases[id][0] for id in sorted(written) if purchases[id][2]])
    return [
        Outcome.ALREADY
        if outcome is Outcome.REVIEWED and not (opinion.purchase_id in written and wanted[opinion.purchase_id] is opinion)
        else outcome
        for opinion, outcome in zip(opinions, decided, strict=True)
    ]


def _decide(opinion: Opinion, purchase: tuple[int, int, bool] | None) -> Outcome:
    if purchase is None or purchase[0] != opinion.registrant_id:
        return Outcome.UNKNOWN
    if purchase[1] != Purchase.State.COMPLETED:
        return Outcome.NOT_COMPLETED
    if opinion.rating not in RATINGS:
        return Outcome.BAD_RATING
    return Outcome.REVIEWED if _is_said(opinion.words) else Outcome.BAD_TEXT


def _is_said(text: str) -> bool:
    """Whether there is something to read, that can be stored: no NUL, and no halves of surrogate pairs."""
    return 0 < len(text) <= LONGEST and "\0" not in text and text.encode(errors="ignore").decode() == text


def _write(opinions: Sequence[Opinion]) -> set[int]:
    """Of which purchases it is the first word: their ids."""
    if not opinions:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO trainings_review (purchase_id, at, rating, text)
            SELECT purchase_id, {timestamptz("at")}, rating, text
            FROM unnest(%s::bigint[], %s::bigint[], %s::smallint[], %s::text[]) AS said (purchase_id, at, rating, text)
            ON CONFLICT DO NOTHING RETURNING purchase_id
            """,
            [
                array(opinion.purchase_id for opinion in opinions),
                instants(opinion.at for opinion in opinions),
                array(opinion.rating for opinion in opinions),
                texts(opinion.words for opinion in opinions),
            ],
        )
        return {id for (id,) in cursor.fetchall()}
