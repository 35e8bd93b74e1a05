"""Linking an account: one live account per person, one person per account; the database decides."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from django.db import connection, transaction

from foundation.pg import array, instants, timestamptz
from foundation.work import enqueue
from incentives import gating
from incentives.numbers import digest_of, seal_number
from incentives.payers import PAYERS, check_queue, tidy
from incentives.terms import ITEMS
from registrations.holding import Held, hold
from registrations.stages import Stage

#: Joins to each `obligation` the account that is linked. Looked up one by one whatever the planner thinks (OFFSET 0): while the
#: tables grow it takes fit accounts for few, and goes through everything that is due for each of them.
ITS_ACCOUNT = f"""
    CROSS JOIN LATERAL (
        SELECT * FROM incentives_account WHERE registrant_id = obligation.id / {ITEMS} AND ended_at IS NULL OFFSET 0
    ) AS account
"""


class Link(NamedTuple):
    """Somebody wants to be paid into this account."""

    registrant_id: int
    #: The payer's code.
    payer: str
    number: str
    at: datetime

    def __repr__(self) -> str:
        return f"Link({self.registrant_id})"  # never a number: this ends up in logs


class Outcome(Enum):
    LINKED = "linked"
    #: It is this person's account already.
    ALREADY = "already"
    #: Another account is: it is changed, with proof (`incentives.changing`).
    HAS_ANOTHER = "has another"
    #: It is somebody else's.
    TAKEN = "taken"
    NOT_A_RECIPIENT = "not a recipient"
    UNKNOWN_PAYER = "unknown payer"
    BAD_NUMBER = "bad number"


class Linked(NamedTuple):
    """An account that was there, or has just come."""

    id: int
    registrant_id: int
    digest: str


def link(links: Sequence[Link]) -> list[Outcome]:
    """Link these accounts and have their payers asked about them; one outcome each, in order."""
    asked = [entry._replace(number=tidy(entry.number)) for entry in links]
    with transaction.atomic(savepoint=False):
        held = hold(entry.registrant_id for entry in asked)
        outcomes = {place: problem for place, entry in enumerate(asked) if (problem := _problem(entry, held))}
        digests = {place: digest_of(entry.payer, entry.number) for place, entry in enumerate(asked) if place not in outcomes}
        mine = {
            account.registrant_id: account.digest for account in _live([asked[place].registrant_id for place in digests])
        }
        new: dict[int, int] = {}
        for place, digest in digests.items():
            id = asked[place].registrant_id
            if id in mine:
                outcomes[place] = Outcome.ALREADY if mine[id] == digest else Outcome.HAS_ANOTHER
            elif id in new:
                outcomes[place] = Outcome.ALREADY if digests[new[id]] == digest else Outcome.HAS_ANOTHER
            else:
                new[id] = place
        linked = insert([(asked[place], digests[place]) for place in new.values()])
        outcomes |= {place: Outcome.LINKED if id in linked else Outcome.TAKEN for id, place in new.items()}
        outcomes = {place: _as_first(outcome, place, outcomes, new, asked) for place, outcome in outcomes.items()}
        at = {asked[place].registrant_id: asked[place].at for place in new.values()}
        found = gating.gates_of({id: held[id] for id in linked})
        if found:
            gating.write(found, held, at=max(at[id] for id in found))
    return [outcomes[place] for place in range(len(asked))]


def _as_first(
    outcome: Outcome, place: int, outcomes: Mapping[int, Outcome], new: Mapping[int, int], asked: Sequence[Link]
) -> Outcome:
    """Of somebody who stands in the call twice, the second time is as good as the first."""
    first = new.get(asked[place].registrant_id, place)
    return Outcome.TAKEN if outcome is Outcome.ALREADY and first != place and outcomes[first] is Outcome.TAKEN else outcome


def _problem(entry: Link, held: Mapping[int, Held]) -> Outcome | None:
    if (where := held.get(entry.registrant_id)) is None or where.stage < Stage.SELECTED or where.is_out:
        return Outcome.NOT_A_RECIPIENT
    if (payer := PAYERS.get(entry.payer)) is None:
        return Outcome.UNKNOWN_PAYER
    return None if payer.well_formed(entry.number) else Outcome.BAD_NUMBER


def _live(registrant_ids: Sequence[int]) -> list[Linked]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT id, registrant_id, encode(uuid_send(digest), 'hex') FROM incentives_account
            WHERE registrant_id = ANY (%s::bigint[]) AND ended_at IS NULL
            """,
            [array(registrant_ids)],
        )
        return [Linked._make(row) for row in cursor.fetchall()]


def insert(links: Sequence[tuple[Link, str]]) -> set[int]:
    """New accounts, with their digests, of persons in hand who have none; return whose was not another's.

    Their payers are asked when the transaction commits.
    """
    if not links:
        return set()
    # In the order of the digests, so that two who want the same ones never wait for each other.
    ordered = sorted(links, key=lambda entry: entry[1])
    sealed = [seal_number(entry.number, registrant_id=entry.registrant_id, digest=digest).hex() for entry, digest in ordered]
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO incentives_account (registrant_id, digest, linked_at, payer, sealed, gate)
            SELECT id, digest, {timestamptz("at")}, payer, decode(sealed, 'hex'), 0
            FROM unnest(%s::bigint[], %s::uuid[], %s::bigint[], %s::text[], %s::text[]) AS new (id, digest, at, payer, sealed)
            ON CONFLICT DO NOTHING RETURNING id, registrant_id, payer
            """,
            [
                array(entry.registrant_id for entry, _ in ordered),
                array(digest for _, digest in ordered),
                instants(entry.at for entry, _ in ordered),
                array(entry.payer for entry, _ in ordered),
                array(sealed),
            ],
        )
        rows = cursor.fetchall()
    ask_payers((payer, id) for id, _, payer in rows)
    return {registrant_id for _, registrant_id, _ in rows}


def ask_payers(accounts: Iterable[tuple[str, int]]) -> None:
    """Have payers asked about these accounts, pairs of payer and id, when the transaction commits."""
    by_payer: dict[str, list[int]] = {}
    for payer, id in accounts:
        by_payer.setdefault(payer, []).append(id)
    for payer, ids in by_payer.items():
        enqueue(check_queue(payer), ids)
