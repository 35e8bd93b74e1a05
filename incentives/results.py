"""What payers say of payouts, whoever heard it: the sender, who asked again, a call of theirs, or their daily file."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from django.db import connection, transaction

from foundation.pg import array
from incentives import checking, gating, notices
from incentives.models import Payout
from incentives.notices import Kind
from incentives.payout import Outcome
from incentives.terms import ITEMS
from registrations import ladder
from registrations.holding import Held, hold
from registrations.stages import Stage

S = Payout.State

_NUMBER = re.compile("[1-9][0-9]{0,18}")


class Key(NamedTuple):
    """Which payout."""

    obligation_id: int
    attempt: int

    @classmethod
    def read(cls, reference: str) -> "Key | None":
        """The payout that a reference names; None when it is none of ours in form."""
        obligation, dash, attempt = reference.partition("-")
        if not dash or not all(map(_NUMBER.fullmatch, (obligation, attempt))):
            return None
        key = cls(int(obligation), int(attempt))
        return key if key.obligation_id < 2**63 and key.attempt < 2**15 else None


class Result(NamedTuple):
    """A payer's word on one payout."""

    reference: str
    outcome: Outcome


class Applied(Enum):
    APPLIED = "applied"
    #: It says nothing new.
    KNOWN = "known"
    #: Not of this payer, or never sent.
    UNKNOWN_REFERENCE = "unknown reference"
    #: It cannot be after what was said before: it is looked into with the payer's daily file.
    CONTRADICTS = "contradicts"


def apply(results: Sequence[Result], *, payer: str, at: datetime) -> list[Applied]:
    """Take a payer's results, which may come late, twice and in any order; one outcome each, in order."""
    keys = [Key.read(result.reference) for result in results]
    with transaction.atomic():
        held = hold({key.obligation_id // ITEMS for key in keys if key})
        states = states_of({key for key in keys if key}, payer=payer) if held else {}
        applied, new = [], dict[Key, Outcome]()
        for key, (_, outcome) in zip(keys, results, strict=True):
            if key is None or key not in states:
                applied.append(Applied.UNKNOWN_REFERENCE)
                continue
            verdict = judge(states[key], outcome)
            applied.append(verdict)
            if verdict is Applied.APPLIED:
                new[key] = outcome
                states[key] = state_after(outcome)
        # What was paid and given back within one call was paid first.
        settle(new, at=at, held=held)
    return applied


def states_of(keys: Iterable[Key], *, payer: str) -> dict[Key, int]:
    """The states of those payouts that this payer may have got."""
    wanted = list(keys)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT payout.obligation_id, payout.attempt, payout.state
            FROM unnest(%s::bigint[], %s::smallint[]) AS asked (id, attempt)
            JOIN incentives_payout payout ON payout.obligation_id = asked.id AND payout.attempt = asked.attempt
            JOIN incentives_batch batch ON batch.id = payout.batch_id
            WHERE batch.payer = %s AND payout.state < {S.PROPOSED}
            """,
            [array(key.obligation_id for key in wanted), array(key.attempt for key in wanted), payer],
        )
        return {Key(id, attempt): state for id, attempt, state in cursor.fetchall()}


def judge(state: int, outcome: Outcome) -> Applied:
    """What this word is worth of a payout in this state."""
    if not outcome.is_final:
        return Applied.KNOWN
    after = state_after(outcome)
    if after == state:
        return Applied.KNOWN
    if state in (S.SENDING, S.UNKNOWN) or (state, after) == (S.PAID, S.REVERSED):
        return Applied.APPLIED
    # Paid, and then given back: the news of the first comes late.
    return Applied.KNOWN if (state, after) == (S.REVERSED, S.PAID) else Applied.CONTRADICTS


def state_after(outcome: Outcome) -> Payout.State:
    return S.PAID if outcome is Outcome.PAID else S.REVERSED if outcome.is_reversed else S.FAILED


class _Settled(NamedTuple):
    obligation_id: int
    attempt: int
    account_id: int
    state: int
    reason: int
    #: The account's.
    payer: str


def settle(outcomes: Mapping[Key, Outcome], *, at: datetime, held: Mapping[int, Held] | None = None) -> None:
    """Write down what has become of payouts, and what follows from it. In a transaction; `held`: the persons, if in hand already.

    Only what a payer has decided is written, and only over what it had not: said twice, it changes nothing.
    """
    final = {key: outcome for key, outcome in outcomes.items() if outcome.is_final}
    if not final:
        return
    held = held or hold(key.obligation_id // ITEMS for key in final)
    settled = _write(final, at)
    paid = [entry.obligation_id // ITEMS for entry in settled if entry.state == S.PAID]
    ladder.climb(Stage.INCENTIVE_RECEIVED, dict.fromkeys(paid, at))
    if lost := [entry for entry in settled if entry.state != S.PAID]:
        _shut(lost, at)
        people = {entry.obligation_id // ITEMS for entry in lost}
        gating.write(gating.gates_of({id: held[id] for id in people if id in held}), held, at=at)
        for state, kind in ((S.REVERSED, Kind.REVERSED), (S.FAILED, Kind.FAILED)):
            notices.post(kind, {entry.obligation_id // ITEMS: entry.reason for entry in lost if entry.state == state})


#: Attempts that were taken back before they were sent do not count.
_LAST = f"""
    (obligation.attempt = payout.attempt OR NOT EXISTS (
        SELECT 1 FROM incentives_payout later
        WHERE later.obligation_id = obligation.id AND later.attempt > payout.attempt AND later.state <> {S.WITHDRAWN}
    ))
"""


def _write(outcomes: Mapping[Key, Outcome], at: datetime) -> list[_Settled]:
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            UPDATE incentives_payout payout SET state = said.state, reason = said.reason, settled_at = %s
            FROM unnest(%s::bigint[], %s::smallint[], %s::smallint[], %s::smallint[]) AS said (id, attempt, state, reason),
                 incentives_account account
            WHERE payout.obligation_id = said.id AND payout.attempt = said.attempt AND account.id = payout.account_id
              AND (payout.state IN ({S.SENDING}, {S.UNKNOWN}) OR (payout.state, said.state) = ({S.PAID}, {S.REVERSED}))
            RETURNING payout.obligation_id, payout.attempt, payout.account_id, payout.state, payout.reason, account.payer
            """,
            [
                at,
                array(key.obligation_id for key in outcomes),
                array(key.attempt for key in outcomes),
                array(state_after(outcome) for outcome in outcomes.values()),
                array(outcome.gate for outcome in outcomes.values()),
            ],
        )
        settled = [_Settled._make(row) for row in cursor.fetchall()]
        cursor.execute(
            f"""
            UPDATE incentives_obligation obligation
            SET state = payout.state, paid_at = CASE payout.state WHEN {S.PAID} THEN %s END,
                batch_id = CASE payout.state WHEN {S.PAID} THEN obligation.batch_id END
            FROM unnest(%s::bigint[], %s::smallint[], %s::smallint[]) AS payout (id, attempt, state)
            WHERE obligation.id = payout.id AND {_LAST}
            """,
            [
                at,
                array(entry.obligation_id for entry in settled),
                array(entry.attempt for entry in settled),
                array(entry.state for entry in settled),
            ],
        )
    return settled


def _shut(lost: Sequence[_Settled], at: datetime) -> None:
    """The accounts that money did not get into, or came back from: their gate is shut, or, without a cause, they are asked about.

    Until that is put right, no other attempt is made. The account that a person has by now in its place is not shut, but asked
    about, with what has come back and goes into it now.
    """
    causes = {entry.account_id: entry.reason for entry in lost if entry.reason}
    returned = {entry.obligation_id // ITEMS for entry in lost if entry.state == S.REVERSED}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE incentives_account account SET gate = lost.gate, checked_at = %s
            FROM unnest(%s::bigint[], %s::smallint[]) AS lost (id, gate)
            WHERE account.id = lost.id AND account.ended_at IS NULL
            """,
            [at, array(causes), array(causes.values())],
        )
        cursor.execute(
            """
            SELECT payer, id FROM incentives_account
            WHERE registrant_id = ANY (%s::bigint[]) AND ended_at IS NULL AND gate = 0 AND id <> ALL (%s::bigint[])
            """,
            [array(returned), array(entry.account_id for entry in lost)],
        )
        instead = cursor.fetchall()
    checking.reopen([*((entry.payer, entry.account_id) for entry in lost if entry.account_id not in causes), *instead])


def accept_payment(key: Key, *, at: datetime) -> bool:
    """What had failed, or counted as given back, was paid after all, as its payer has shown; False when another attempt is under way
    or was made. In a transaction."""
    hold([key.obligation_id // ITEMS])
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH paid AS (
                UPDATE incentives_obligation obligation
                SET state = {S.PAID}, paid_at = %(at)s, gate = 0, batch_id = payout.batch_id
                FROM incentives_payout payout
                WHERE obligation.id = %(id)s AND obligation.state IN ({S.FAILED}, {S.REVERSED})
                  AND obligation.batch_id IS NULL
                  AND (payout.obligation_id, payout.attempt) = (obligation.id, %(attempt)s) AND payout.state = obligation.state
                  AND {_LAST}
                RETURNING obligation.id
            )
            UPDATE incentives_payout payout SET state = {S.PAID}, settled_at = %(at)s, reason = 0
            FROM paid WHERE (payout.obligation_id, payout.attempt) = (paid.id, %(attempt)s)
            """,
            {"at": at, "id": key.obligation_id, "attempt": key.attempt},
        )
        paid = bool(cursor.rowcount)
    if paid:
        ladder.climb(Stage.INCENTIVE_RECEIVED, {key.obligation_id // ITEMS: at})
    return paid


def note_unknown(keys: Iterable[Key]) -> None:
    """Of these payouts it is not known whether they were paid. In a transaction."""
    wanted = list(keys)
    if not wanted:
        return
    hold(key.obligation_id // ITEMS for key in wanted)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH lost AS (
                UPDATE incentives_payout payout SET state = {S.UNKNOWN}
                FROM unnest(%s::bigint[], %s::smallint[]) AS asked (id, attempt)
                WHERE payout.obligation_id = asked.id AND payout.attempt = asked.attempt AND payout.state = {S.SENDING}
                RETURNING payout.obligation_id, payout.attempt
            )
            UPDATE incentives_obligation obligation SET state = {S.UNKNOWN}
            FROM lost WHERE (obligation.id, obligation.attempt) = (lost.obligation_id, lost.attempt)
            """,
            [array(key.obligation_id for key in wanted), array(key.attempt for key in wanted)],
        )
