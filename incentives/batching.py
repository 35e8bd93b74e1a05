"""Batches: one person puts payouts together, another one approves exactly those, by the hash of what they are.

A payout's line is its reference, the digest of its account and its rupiah. A block's hash is that of its lines, a batch's that of its
payer and its blocks. Whoever sends looks at the blocks again (`are_whole`): nothing that was changed after the approval goes out.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils.translation import gettext as _

from foundation.pg import array
from foundation.work import enqueue
from incentives import checking, gating
from incentives.linking import ITS_ACCOUNT
from incentives.models import UNPAID, Batch, Block, Payout
from incentives.payers import PAYERS, queue
from incentives.terms import ITEMS
from registrations.holding import Held, hold
from waves.screening import NotNow

#: So many payouts at most go in one batch, and so many stand in one of its blocks.
LARGEST, BLOCK = 100_000, 2000

S = Payout.State

#: Due, unpaid, no gate shut, in no batch, nothing left over with a payer, and an account of which this payer has said that it is
#: fit, not too long ago.
_IS_RIPE = f"""
    WHERE obligation.state IN ({", ".join(str(state.value) for state in UNPAID)}) AND obligation.gate = 0
      AND obligation.batch_id IS NULL AND obligation.due_at <= %(at)s
      AND account.payer = %(payer)s AND account.checked_at > %(checked_since)s AND account.gate = 0
      AND NOT EXISTS (
          SELECT 1 FROM incentives_leftover leftover
          WHERE leftover.obligation_id = obligation.id AND leftover.settled_at IS NULL
      )
"""
_RIPE = f"FROM incentives_obligation obligation {ITS_ACCOUNT} {_IS_RIPE}"
#: The same of those in hand, which are looked up one by one, too.
_STILL_RIPE = f"""
    FROM unnest(%(ids)s::bigint[]) AS held (id)
    CROSS JOIN LATERAL (SELECT * FROM incentives_obligation WHERE id = held.id OFFSET 0) AS obligation
    {ITS_ACCOUNT} {_IS_RIPE}
"""


class Ripe(NamedTuple):
    """What could be paid by a payer now."""

    payouts: int
    rupiah: int


def ripe(payer: str, *, at: datetime, due_by: datetime | None = None) -> Ripe:
    """What could be paid at this instant; `due_by`: of what was due earlier only."""
    with connection.cursor() as cursor:
        told: dict[str, Any] = {"at": due_by or at, "payer": payer, "checked_since": checking.counts_since(at)}
        cursor.execute(f"SELECT count(*), coalesce(sum(obligation.amount), 0)::bigint {_RIPE}", told)
        return Ripe._make(cursor.fetchone())


def propose(payer: str, *, by: User, at: datetime, limit: int = LARGEST, of: Iterable[int] | None = None) -> Batch:
    """Put together a batch of what has been due longest, up to `limit` payouts; `of`: of these registrants only.

    Raises `NotNow` when nothing is due.
    """
    if payer not in PAYERS:
        raise NotNow(_("There is no such payer."))
    with transaction.atomic(), connection.cursor() as cursor:
        told: dict[str, Any] = {
            "at": at,
            "payer": payer,
            "checked_since": checking.counts_since(at),
            "limit": min(limit, LARGEST),
            "of": None if of is None else array(of),
        }
        theirs = "" if of is None else f"AND obligation.id / {ITEMS} = ANY (%(of)s::bigint[])"
        cursor.execute(
            f"SELECT obligation.id {_RIPE} {theirs} ORDER BY obligation.due_at, obligation.id LIMIT %(limit)s", told
        )
        ids = [id for (id,) in cursor.fetchall()]
        hold(id // ITEMS for id in ids)
        batch = Batch.objects.create(payer=payer, maker=by, made_at=at, sha256=b"")
        cursor.execute(
            # Asked once more, now that nobody else can take them.
            f"""
            WITH ripe AS (
                SELECT obligation.id, account.id AS account_id {_STILL_RIPE}
            ), taken AS (
                UPDATE incentives_obligation obligation SET batch_id = %(batch)s, attempt = obligation.attempt + 1
                FROM ripe WHERE obligation.id = ripe.id
                RETURNING obligation.id, obligation.attempt, obligation.amount, ripe.account_id
            )
            INSERT INTO incentives_payout (obligation_id, attempt, account_id, amount, batch_id, block, state, reason)
            SELECT id, attempt, account_id, amount, %(batch)s, (row_number() OVER (ORDER BY id) - 1) / {BLOCK}, {S.PROPOSED}, 0
            FROM taken
            """,
            {**told, "ids": array(ids), "batch": batch.pk},
        )
        if not cursor.rowcount:
            transaction.set_rollback(True)
            raise NotNow(_("Nothing is due that this payer could pay now."))
        blocks = _hashed(batch.pk)
        Block.objects.bulk_create(blocks)
        batch.payouts, batch.rupiah = sum(block.payouts for block in blocks), sum(block.rupiah for block in blocks)
        batch.sha256 = _together(batch, blocks)
        batch.save(update_fields=["payouts", "rupiah", "sha256"])
    return batch


def approve(batch: Batch, *, by: User, sha256: str, at: datetime) -> None:
    """Approve what the batch with this hash holds: it will be sent. Raises `NotNow`."""
    with transaction.atomic(), connection.cursor() as cursor:
        batch = _locked(batch)
        if batch.maker_id == by.pk:
            raise NotNow(_("Two people are needed: whoever makes a batch cannot approve it."))
        if batch.approved_at:
            raise NotNow(_("Somebody has approved this already."))
        if batch.withdrawn_at:
            raise NotNow(_("The batch has been withdrawn."))
        if sha256 != bytes(batch.sha256).hex() or _together(batch, _hashed(batch.pk)).hex() != sha256:
            raise NotNow(_("The batch is not what it was when it was made. Withdraw it and make another one."))
        Batch.objects.filter(pk=batch.pk).update(checker=by, approved_at=at)
        cursor.execute(
            f"UPDATE incentives_payout SET state = {S.APPROVED} WHERE batch_id = %s RETURNING block, obligation_id",
            [batch.pk],
        )
        by_block: dict[int, list[int]] = {}
        for block, id in cursor.fetchall():
            by_block.setdefault(block, []).append(id)
        for _block, ids in sorted(by_block.items()):
            enqueue(queue(batch.payer), ids)


def refuse(batch: Batch, *, why: str, at: datetime) -> None:
    """Give free again what a batch holds that nobody has approved. Raises `NotNow`."""
    with transaction.atomic():
        # Held, so that an approval comes before or after, and not in between.
        batch = _locked(batch)
        if batch.approved_at:
            raise NotNow(_("Somebody has approved this already."))
        stop([batch.pk], why=why)
        withdraw(batch, at=at)


def halt(batch: Batch, *, why: str) -> None:
    """Send nothing more of a batch that is being sent. Raises `NotNow`."""
    with transaction.atomic():
        batch = _locked(batch)
        if not batch.approved_at or batch.stopped:
            raise NotNow(_("The batch is not being sent."))
        stop([batch.pk], why=why)


def withdraw(batch: Batch, *, at: datetime) -> int:
    """Give free again what has not been sent of a batch that is not approved, or was stopped; return how many. Raises `NotNow`."""
    with transaction.atomic(), connection.cursor() as cursor:
        batch = _locked(batch)
        if batch.withdrawn_at:
            raise NotNow(_("The batch has been withdrawn."))
        if batch.approved_at and not batch.stopped:
            raise NotNow(_("The batch is being sent."))
        unsent = f"batch_id = %s AND state IN ({S.PROPOSED}, {S.APPROVED})"
        cursor.execute(f"SELECT DISTINCT obligation_id / {ITEMS} FROM incentives_payout WHERE {unsent}", [batch.pk])
        held = hold(id for (id,) in cursor.fetchall())
        withdrawn = _take_back(unsent, [batch.pk], held, at)
        Batch.objects.filter(pk=batch.pk).update(withdrawn_at=at)
    return withdrawn


def take_back(payouts: Iterable[tuple[int, int]], held: Mapping[int, Held], *, at: datetime) -> None:
    """Give free again these approved payouts, pairs of obligation and attempt, of persons in hand; their batches go on without."""
    ids, attempts = zip(*payouts, strict=True)
    unsent = f"(obligation_id, attempt) IN (SELECT * FROM unnest(%s::bigint[], %s::smallint[])) AND state = {S.APPROVED}"
    _take_back(unsent, [array(ids), array(attempts)], held, at)


def _take_back(unsent: str, parameters: Sequence[Any], held: Mapping[int, Held], at: datetime) -> int:
    """While it was in a batch, no gate was written on it: that is made up for."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH back AS (
                UPDATE incentives_payout SET state = {S.WITHDRAWN} WHERE {unsent} RETURNING obligation_id, attempt
            )
            UPDATE incentives_obligation obligation SET batch_id = NULL
            FROM back WHERE (obligation.id, obligation.attempt) = (back.obligation_id, back.attempt)
            """,
            parameters,
        )
        withdrawn = int(cursor.rowcount)
    gating.write(gating.gates_of(held), held, at=at)
    return withdrawn


def left_over(obligation_ids: Iterable[int]) -> set[int]:
    """Those of the obligations of which a payer's file has left something over that nobody has settled: they may be paid already."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT obligation_id FROM incentives_leftover
            WHERE obligation_id = ANY (%s::bigint[]) AND settled_at IS NULL
            """,
            [array(obligation_ids)],
        )
        return {id for (id,) in cursor.fetchall()}


def stop(batch_ids: Iterable[int], *, why: str) -> None:
    """Nothing more of these batches is sent."""
    Batch.objects.filter(pk__in=list(batch_ids), stopped="").update(stopped=why)


def are_whole(blocks: Iterable[tuple[int, int]]) -> set[tuple[int, int]]:
    """Those of the blocks, pairs of batch and number, that are as they were approved, and of which more may be sent."""
    wanted: dict[int, set[int]] = {}
    for batch_id, block in blocks:
        wanted.setdefault(batch_id, set()).add(block)
    found = set()
    for batch in Batch.objects.filter(pk__in=wanted):
        approved = list(Block.objects.filter(batch_id=batch.pk).order_by("block"))
        if batch.approved_at and not batch.stopped and _together(batch, approved) == bytes(batch.sha256):
            as_approved = {block.block: bytes(block.sha256) for block in approved}
            found |= {
                (batch.pk, block.block)
                for block in _hashed(batch.pk, wanted[batch.pk])
                if bytes(block.sha256) == as_approved.get(block.block)
            }
    return found


def _locked(batch: Batch) -> Batch:
    return Batch.objects.select_for_update().get(pk=batch.pk)


def _hashed(batch_id: int, only: Iterable[int] | None = None) -> list[Block]:
    """The blocks as they are now."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT payout.block, count(*), sum(payout.amount)::bigint,
                   sha256(convert_to(string_agg(
                       payout.obligation_id || '-' || payout.attempt || ';' || account.digest || ';' || payout.amount || E'\\n',
                       '' ORDER BY payout.obligation_id
                   ), 'UTF8'))
            FROM incentives_payout payout JOIN incentives_account account ON account.id = payout.account_id
            WHERE payout.batch_id = %s {"" if only is None else "AND payout.block = ANY (%s::smallint[])"}
            GROUP BY payout.block ORDER BY payout.block
            """,
            [batch_id] if only is None else [batch_id, array(only)],
        )
        return [
            Block(batch_id=batch_id, block=block, payouts=payouts, rupiah=rupiah, sha256=sha256)
            for block, payouts, rupiah, sha256 in cursor.fetchall()
        ]


def _together(batch: Batch, blocks: Iterable[Block]) -> bytes:
    digest = hashlib.sha256(f"{batch.pk};{batch.payer}\n".encode())
    for block in blocks:
        digest.update(b"%d;%d;%d;%s\n" % (block.block, block.payouts, block.rupiah, bytes(block.sha256).hex().encode()))
    return digest.digest()
