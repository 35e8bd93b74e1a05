"""What a first completed training still lacks before it opens the incentives."""

from collections.abc import Sequence
from typing import NamedTuple

from django.db import connection

from foundation.pg import array


class Missing(NamedTuple):
    #: The training provider has not sent it.
    certificate: bool
    #: The registrant has not rated and reviewed the training.
    review: bool


def missing(ids: Sequence[int]) -> dict[int, Missing]:
    """What is missing, by registrant; those who have completed no training are not there."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT purchase.registrant_id, purchase.certified_at IS NULL, review.purchase_id IS NULL
            FROM trainings_purchase purchase LEFT JOIN trainings_review review ON review.purchase_id = purchase.id
            WHERE purchase.registrant_id = ANY (%s::bigint[]) AND purchase.is_first
            """,
            [array(ids)],
        )
        return {id: Missing(certificate, review) for id, certificate, review in cursor.fetchall()}
