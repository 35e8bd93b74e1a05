"""Purchases in hand: found by redeem code, through the partner who may act on them, with their registrants locked.

Whoever buys, redeems, completes or cancels locks the registrants first, in the order of their ids, and the limited trainings
after them: so no two wait for each other.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from django.db import connection
from django.db.backends.utils import CursorWrapper

from foundation.pg import array
from registrations.holding import hold_those

#: What a redeem code looks like (`trainings.purchasing`).
CODE = re.compile(r"[A-Z2-7]{16}", re.ASCII)

#: The trainings that a partner sells, and those that it sells or gives.
_SOLD = "training.platform_id = %(partner)s"
MINE = f"{_SOLD} OR training.provider_id = %(partner)s"


class Held(NamedTuple):
    """A purchase that stays as it is until the transaction ends."""

    id: int
    redeem_code: str
    registrant_id: int
    training_id: int
    state: int
    bought_at: datetime
    redeemed_at: datetime | None
    completed_at: datetime | None
    score: int | None
    meetings: int
    is_first: bool
    certificate_number: str | None
    certificate_sha256: memoryview | None
    #: The training's code and provider.
    training: str
    provider: str
    #: Where the registrant stands.
    stage: int


def hold(codes: Iterable[str], *, partner: str, as_platform: bool = False) -> dict[str, Held]:
    """The purchases that these redeem codes stand for, by code, of the trainings that the partner sells or gives.

    `as_platform`: of those that it sells only. Foreign codes are missing as unknown ones are. In a transaction.
    """
    literal = array({code for code in codes if CODE.fullmatch(code)})
    found = f"""
        FROM trainings_purchase purchase JOIN trainings_training training ON training.id = purchase.training_id
        WHERE purchase.redeem_code = ANY (%(codes)s::text[]) AND ({_SOLD if as_platform else MINE})
    """
    parameters = {"codes": literal, "partner": partner}
    registrants = hold_those(f"SELECT purchase.registrant_id {found}", parameters)
    with connection.cursor() as cursor:
        # Read when they are held: until then, they may have been changed.
        cursor.execute(
            f"""
            SELECT purchase.id, redeem_code, registrant_id, training_id, state, bought_at, redeemed_at, completed_at, score,
                   meetings, is_first, certificate_number, certificate_sha256, training.code, training.provider_id
            {found}
            """,
            parameters,
        )
        return {row[1]: Held._make((*row, registrants[row[2]].stage)) for row in cursor.fetchall()}


def lock_seats(cursor: CursorWrapper, trainings: Iterable[int]) -> dict[int, int]:
    """The limited ones of these trainings, with how many of their seats are free; nobody takes one until the transaction ends."""
    cursor.execute(
        """
        SELECT id, seats - taken FROM trainings_training WHERE id = ANY (%s::bigint[]) AND seats IS NOT NULL
        ORDER BY id FOR NO KEY UPDATE
        """,
        [array(set(trainings))],
    )
    return dict(cursor.fetchall())
