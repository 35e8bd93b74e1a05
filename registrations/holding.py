"""Registrants in hand: whoever sells to them, links an account or pays holds them first, in the order of their ids.

So no two wait for each other, and what is read afterwards stays as it is until the transaction ends. An act on a set of them is one
transaction; what several of a caller's consist of (to buy, redeem, complete, cancel, rate, link) has no savepoint of its own: when it
fails, the caller's transaction is given up with it.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

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
    return _hold("%(ids)s::bigint[]", {"ids": array(set(ids))})


def hold_those(query: str, parameters: Mapping[str, Any]) -> dict[int, Held]:
    """The registrants whose ids this query gives, by id. In a transaction."""
    return _hold(f"ARRAY({query})", parameters)


def _hold(ids: str, parameters: Mapping[str, Any]) -> dict[int, Held]:
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT id, stage, drop_off FROM registrations_registrant WHERE id = ANY ({ids}) ORDER BY id FOR NO KEY UPDATE
            """,
            parameters,
        )
        return {id: Held(stage, drop_off) for id, stage, drop_off in cursor.fetchall()}
