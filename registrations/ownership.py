"""An e-mail, NIK or phone number becomes exclusively somebody's at the rung that proves it; before, a claim blocks nobody."""

from collections.abc import Collection, Sequence
from uuid import UUID

from django.db import connection

from foundation.pg import array
from registrations.models import Owner


def own(attribute: type[Owner], claims: Sequence[tuple[int, UUID]]) -> set[int]:
    """Make each registrant the owner of the value they have just proven; return those who own it now.

    `claims` are pairs of registrant id and digest. The primary key decides races: who is missing from the result has lost
    to somebody else, for good unless the owner lets go. Claiming what one owns is harmless.
    """
    if not claims:
        return set()
    # In one order, so that two workers never wait for each other.
    ordered = sorted(claims, key=lambda claim: claim[1])
    ids, digests = array(id for id, _ in ordered), array(digest for _, digest in ordered)
    table = attribute._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (registrant_id, digest) SELECT * FROM unnest(%s::bigint[], %s::uuid[]) ON CONFLICT DO NOTHING",
            [ids, digests],
        )
        if cursor.rowcount == len(claims):
            return {id for id, _ in claims}
        cursor.execute(
            f"""
            SELECT owner.registrant_id
            FROM unnest(%s::bigint[], %s::uuid[]) AS claim (registrant_id, digest)
            JOIN {table} owner USING (registrant_id, digest)
            """,
            [ids, digests],
        )
        return {id for (id,) in cursor.fetchall()}


def owner_of(attribute: type[Owner], digest: UUID) -> int | None:
    """The registrant who owns the value with this digest."""
    return attribute._default_manager.filter(digest=digest).values_list("registrant_id", flat=True).first()


def let_go(attribute: type[Owner], digests: Collection[UUID], registrant_id: int) -> None:
    """The registrant no longer owns these values."""
    attribute._default_manager.filter(digest__in=digests, registrant_id=registrant_id).delete()
