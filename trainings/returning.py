"""Returning: what is left of a balance after its last day goes back to the programme, and so does what is paid back to it later."""

from collections.abc import Sequence
from datetime import datetime

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from foundation.pg import array
from registrations.holding import hold
from trainings import terms
from trainings.models import Transfer
from waves.models import Decree, Notice

#: So many balances are booked back in one transaction.
BATCH = 5000


def give_back(*, at: datetime, after: int = 0, size: int = BATCH) -> int:
    """Book back what one batch of registrants have left whose last day is over; return the id of the last of them.

    They come in the order of their ids, from behind `after` on: run it with what it returned, until that is 0. It is safe to run
    twice, or twice at once: what was booked back is not there any more.
    """
    over = _over(at)
    if not over:
        return 0
    with transaction.atomic(), connection.cursor() as cursor:
        ids = _unspent(cursor, over, after, size)
        hold(ids)
        # Read when they are locked: whoever bought or cancelled at this moment has done so.
        cursor.execute(
            f"""
            INSERT INTO trainings_transfer (at, debit, credit, amount, kind)
            SELECT %s, registrant_id, 0, balance, {Transfer.Kind.RETURN}
            FROM trainings_balance WHERE registrant_id = ANY (%s::bigint[]) AND balance > 0
            """,
            [at, array(ids)],
        )
    return ids[-1] if ids else 0


def _over(at: datetime) -> list[int]:
    """The decrees whose recipients may spend nothing any more, of those that were told to somebody.

    A simulation tells nobody, and lives through another year than we do: its balances stay as they are.
    """
    told = Decree.objects.filter(notices__kind=Notice.Kind.SELECTED).values_list("pk", "year")
    return [id for id, year in told if terms.of(year).use_by(year) <= at]


def _unspent(cursor: CursorWrapper, decrees: Sequence[int], after: int, size: int) -> list[int]:
    cursor.execute(
        """
        SELECT balance.registrant_id FROM trainings_balance balance
        JOIN waves_recipient recipient ON recipient.registrant_id = balance.registrant_id
        WHERE balance.registrant_id > %s AND balance.balance > 0 AND recipient.decree_id = ANY (%s::int[])
        ORDER BY 1 LIMIT %s
        """,
        [after, array(decrees), size],
    )
    return [id for (id,) in cursor.fetchall()]
