"""Persons in hand: whoever links an account, opens an incentive or pays one holds the registrants first, in the order of their ids.

So no two wait for each other, and what is read afterwards stays as it is until the transaction ends.
"""

from collections.abc import Iterable
from typing import NamedTuple

from django.db import connection

from foundation.pg import array
from registrations.stages import DropOff


class Held(NamedTuple):
    """Where a registrant stands."""

    stage: int
    drop_off: int

    @property
    def is_out(self) -> bool:
        """Revoked, or removed from the decree."""
        return bool(self.drop_off) and DropOff(self.drop_off).is_final


def hold(ids: Iterable[int]) -> dict[int, Held]:
    """Those of the registrants who are there, by id. In a transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT id, stage, drop_off FROM registrations_registrant WHERE id = ANY (%s::bigint[])
            ORDER BY id FOR NO KEY UPDATE
            """,
            [array(set(ids))],
        )
        return {id: Held(stage, drop_off) for id, stage, drop_off in cursor.fetchall()}
