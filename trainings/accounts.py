"""The accounts held against each other: balances, transfers, purchases and seats. Nothing differs, ever."""

from typing import NamedTuple

from django.db import connection


class Difference(NamedTuple):
    """Something that is not as it should be."""

    what: str
    #: Whose it is: a registrant, a purchase or a training.
    id: int
    is_now: int
    should_be: int


_RECOUNT = """
    WITH legs AS (
        SELECT account, sum(amount) AS amount FROM (
            SELECT debit AS account, -amount::bigint AS amount FROM trainings_transfer
            UNION ALL SELECT credit, amount FROM trainings_transfer
        ) AS leg GROUP BY account
    ), compared AS (
        SELECT 'balance' AS what, coalesce(account, registrant_id) AS id, coalesce(balance, 0) AS is_now,
               coalesce(amount, 0) AS should_be
        FROM (SELECT * FROM legs WHERE account > 0) AS own FULL JOIN trainings_balance ON registrant_id = account
        UNION ALL
        SELECT 'paid', coalesce(purchase.id, transfer.purchase_id), coalesce(transfer.amount, 0), coalesce(purchase.price, 0)
        FROM trainings_purchase purchase FULL JOIN (SELECT * FROM trainings_transfer WHERE kind = 2) AS transfer
            ON (transfer.purchase_id, transfer.debit, transfer.credit)
             = (purchase.id, purchase.registrant_id, -purchase.training_id)
        UNION ALL
        SELECT 'paid back', coalesce(purchase.id, transfer.purchase_id), coalesce(transfer.amount, 0),
               coalesce(purchase.price, 0)
        FROM (SELECT * FROM trainings_purchase WHERE state = 5) AS purchase
        FULL JOIN (SELECT * FROM trainings_transfer WHERE kind = 3) AS transfer
            ON (transfer.purchase_id, transfer.credit, transfer.debit)
             = (purchase.id, purchase.registrant_id, -purchase.training_id)
        UNION ALL
        -- What a training has taken in is the price of what was bought of it and not cancelled.
        SELECT 'takings', coalesce(training_id, -account), coalesce(amount, 0), coalesce(price, 0)
        FROM (SELECT training_id, sum(price) AS price FROM trainings_purchase WHERE state < 5 GROUP BY 1) AS sold
        FULL JOIN (SELECT * FROM legs WHERE account < 0) AS taken ON training_id = -account
        UNION ALL
        SELECT 'seats', id, taken, CASE WHEN seats IS NULL THEN 0 ELSE (
            SELECT count(*) FROM trainings_purchase purchase WHERE purchase.training_id = training.id AND state < 5
        ) END FROM trainings_training training
    )
    SELECT what, id, is_now, should_be FROM compared WHERE is_now <> should_be ORDER BY 1, 2 LIMIT 1000
"""


def recount() -> list[Difference]:
    """Where balances, transfers, purchases and seats contradict each other; consistent while others write."""
    with connection.cursor() as cursor:
        # One statement is one snapshot for all of them.
        cursor.execute(_RECOUNT)
        return [Difference._make(row) for row in cursor.fetchall()]


class Totals(NamedTuple):
    """In rupiah."""

    granted: int
    #: On the registrants' balances.
    left: int
    #: Not spent in time, and back with the programme.
    returned: int
    #: What the platforms have taken, by their code.
    taken: dict[str, int]


def totals() -> Totals:
    """Where the training balance of all recipients is now: granted is left, returned and taken together."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT (SELECT coalesce(sum(amount), 0) FROM trainings_transfer WHERE kind = 1),
                   (SELECT coalesce(sum(balance), 0) FROM trainings_balance),
                   (SELECT coalesce(sum(amount), 0) FROM trainings_transfer WHERE kind = 4)
            """
        )
        granted, left, returned = map(int, cursor.fetchone())
        cursor.execute(
            """
            SELECT platform_id, sum(CASE kind WHEN 2 THEN amount ELSE -amount::bigint END)
            FROM trainings_transfer JOIN trainings_training training ON training.id = -least(debit, credit)
            WHERE kind IN (2, 3) GROUP BY 1
            """
        )
        return Totals(granted, left, returned, {platform: int(amount) for platform, amount in cursor.fetchall()})
