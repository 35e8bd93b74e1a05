"""An e-mail, NIK or phone number becomes exclusively somebody's at the rung that proves it; before, a claim blocks nobody."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import NamedTuple
from uuid import UUID

from django.db import connection

from foundation.pg import array
from registrations.ladder import Standing, climb, drop_off
from registrations.models import EmailOwner, NikOwner, Owner, PhoneOwner
from registrations.stages import DropOff, Stage


class Proof(NamedTuple):
    """What a rung proves: whose a value is, and the reason for staying below when it is another's."""

    owner: type[Owner]
    taken: DropOff


PROOFS = {
    Stage.EMAIL_VERIFIED: Proof(EmailOwner, DropOff.EMAIL_TAKEN),
    Stage.IDENTITY_VERIFIED: Proof(NikOwner, DropOff.NIK_TAKEN),
    Stage.PHONE_VERIFIED: Proof(PhoneOwner, DropOff.PHONE_TAKEN),
}


def own(
    attribute: type[Owner], claims: Sequence[tuple[int, str]], *, households: Mapping[int, str] | None = None
) -> set[int]:
    """Make each registrant the owner of the value they have just proven; return those who own it now.

    `claims` are pairs of registrant id and digest; with a NIK goes, by id, the digest of its household. The primary key
    decides races: who is missing from the result has lost
    to somebody else, for good unless the owner lets go. Claiming what one owns is harmless.
    """
    if not claims:
        return set()
    # In one order, so that two workers never wait for each other.
    ordered = sorted(claims, key=itemgetter(1))
    ids, digests = array(id for id, _ in ordered), array(digest for _, digest in ordered)
    columns, values, types = "registrant_id, digest", [ids, digests], "%s::bigint[], %s::uuid[]"
    if households is not None:
        columns, types = f"{columns}, household", f"{types}, %s::uuid[]"
        values.append(array(households[id] for id, _ in ordered))
    table = attribute._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO {table} ({columns}) SELECT * FROM unnest({types})
            ON CONFLICT DO NOTHING RETURNING registrant_id
            """,
            values,
        )
        owners = {id for (id,) in cursor.fetchall()}
        if owned := [claim for claim in claims if claim[0] not in owners]:
            cursor.execute(
                f"""
                SELECT owner.registrant_id
                FROM unnest(%s::bigint[], %s::uuid[]) AS claim (registrant_id, digest)
                JOIN {table} owner USING (registrant_id, digest)
                """,
                [array(id for id, _ in owned), array(digest for _, digest in owned)],
            )
            owners |= {id for (id,) in cursor.fetchall()}
        return owners


def prove(
    to: Stage,
    claims: Mapping[int, str],
    at: Mapping[int, datetime],
    *,
    seen: Mapping[int, Standing],
    households: Mapping[int, str] | None = None,
) -> tuple[set[int], set[int]]:
    """Let registrants climb to the rung on which a value is proven to be theirs; return who climbed, and whose is taken.

    `claims` are the digests of the values, and `seen` how the registrants stood when the values were read, by id. Whose
    value is another's stays below, with that reason.
    """
    proof = PROOFS[to]
    owners = own(proof.owner, list(claims.items()), households=households)
    climbed = climb(to, {id: at[id] for id in claims if id in owners}, seen=seen)
    if len(climbed) < len(owners):
        # Corrected at this very moment: the value is not what they say of themselves any more.
        _let_go(proof.owner, {id: claims[id] for id in owners - climbed}, to)
    taken = claims.keys() - owners
    drop_off(dict.fromkeys(taken, proof.taken), at, seen=seen)
    return climbed, taken


def owner_of(attribute: type[Owner], digest: UUID | str) -> int | None:
    """The registrant who owns the value with this digest."""
    return attribute._default_manager.filter(digest=digest).values_list("registrant_id", flat=True).first()


def _let_go(attribute: type[Owner], claims: Mapping[int, str], rung: Stage) -> None:
    """Those of the claimants who stand below the rung do not own the value."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            DELETE FROM {attribute._meta.db_table} owner
            USING unnest(%s::bigint[], %s::uuid[]) AS claim (registrant_id, digest), registrations_registrant registrant
            WHERE owner.digest = claim.digest AND owner.registrant_id = claim.registrant_id
              AND registrant.id = claim.registrant_id AND registrant.stage < %s
            """,
            [array(claims), array(claims.values()), rung],
        )
