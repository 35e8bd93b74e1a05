"""The largest batch that there may be: proposed, approved, and sent parcel by parcel to the mock payer, in one process.

Each payout is another person's first. Against bare SQL that knows all outcomes beforehand: one connection copies as many payouts into
a table with the same indexes and constraints, block by block, and marks them sent and then paid. No triggers, no books, no rungs.
"""

from datetime import datetime

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone

from benchmarks.clock import checkpoint, seconds, settle, watched
from incentives import batching, linking, sending
from incentives.linking import Link
from incentives.models import Batch, Payout
from incentives.numbers import digest_of
from incentives.payout import MockPayer
from incentives.terms import ITEMS, TERMS
from registrations.models import Registrant
from registrations.stages import Stage

PAYER = "bni"
#: More than go into one batch.
OWED = batching.LARGEST + 1


def measure() -> dict[str, float]:
    """Of people who are there, all that is needed is made; the funnel does not know of it, and the database is no good any more."""
    verified = Registrant.objects.filter(stage=Stage.PHONE_VERIFIED, drop_off=0)
    if verified.count() < OWED:
        watched("simulate", "--registrants", str(2 * OWED), "--seed", "1", "--reset", "--without-draws")
    at = timezone.now()
    _owe(list(verified.values_list("pk", flat=True)[:OWED]), at)
    maker, checker = (User.objects.create(username=name) for name in ("bench-maker", "bench-checker"))
    batches: list[Batch] = []
    propose = seconds(lambda: batches.append(batching.propose(PAYER, by=maker, at=at, limit=OWED)))
    [batch] = batches
    approve = seconds(lambda: batching.approve(batch, by=checker, sha256=bytes(batch.sha256).hex(), at=at))
    send = seconds(lambda: _send(at))
    paid = Payout.objects.filter(batch_id=batch.pk, state=Payout.State.PAID).count()
    left = batching.ripe(PAYER, at=at).payouts
    if (batch.payouts, paid, left) != (batching.LARGEST, batching.LARGEST, OWED - batching.LARGEST):
        raise SystemExit(f"of {OWED} payouts, {batch.payouts} went into the batch, {paid} are paid, and {left} are left")
    checkpoint()
    floor = seconds(lambda: _floor(batch))
    return {
        "batch_payouts": batch.payouts,
        "batch_propose_s": propose,
        "batch_approve_s": approve,
        "batch_send_s": send,
        "batch_per_s": batch.payouts / (propose + approve + send),
        "batch_floor_per_s": batch.payouts / floor,
        "batch_ratio": (propose + approve + send) / floor,
    }


def _owe(ids: list[int], at: datetime) -> None:
    """Each of these has completed a training, an account that its payer has found fit, and a first incentive that is due."""
    links = [Link(id, PAYER, f"2{place:09}", at) for place, id in enumerate(ids)]
    climbed = ("selected_at", "training_bought_at", "training_completed_at")
    with transaction.atomic(), connection.cursor() as cursor:
        linking.insert([(link, digest_of(PAYER, link.number)) for link in links])
        cursor.execute("UPDATE incentives_account SET checked_at = %s WHERE linked_at = %s", [at, at])
        cursor.execute("SET LOCAL session_replication_role = replica")  # past the ladder
        Registrant.objects.filter(pk__in=ids).update(stage=Stage.TRAINING_COMPLETED, **dict.fromkeys(climbed, at))
        cursor.execute("SET LOCAL session_replication_role = origin")
        cursor.execute(
            f"""
            INSERT INTO incentives_obligation (id, due_at, amount, state, gate, attempt)
            SELECT registrant_id * {ITEMS} + 1, %s, %s, 1, 0, 0 FROM incentives_account WHERE linked_at = %s ORDER BY 1
            """,
            [at, TERMS[0].monthly, at],
        )
    settle()


def _send(at: datetime) -> None:
    while sending.send_batch(PAYER, payer=MockPayer(), size=settings.BATCH_SIZE, clock=lambda: at):
        pass


def _floor(batch: Batch) -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE bench_payout (LIKE incentives_payout INCLUDING ALL)")
        cursor.execute("SELECT DISTINCT block FROM incentives_payout WHERE batch_id = %s ORDER BY 1", [batch.pk])
        for block in [block for (block,) in cursor.fetchall()]:
            of = {"batch": batch.pk, "block": block}
            cursor.execute(
                f"""
                INSERT INTO bench_payout (obligation_id, attempt, account_id, amount, batch_id, block, state, reason)
                SELECT obligation_id, attempt, account_id, amount, batch_id, block, {Payout.State.APPROVED}, 0
                FROM incentives_payout WHERE batch_id = %(batch)s AND block = %(block)s
                """,
                of,
            )
            for state, settled in ((Payout.State.SENDING, "NULL"), (Payout.State.PAID, "was.settled_at")):
                cursor.execute(
                    f"""
                    UPDATE bench_payout payout SET state = {state}, sent_at = was.sent_at, settled_at = {settled}
                    FROM incentives_payout was
                    WHERE (was.obligation_id, was.attempt) = (payout.obligation_id, payout.attempt)
                      AND was.batch_id = %(batch)s AND was.block = %(block)s
                    """,
                    of,
                )
        cursor.execute("DROP TABLE bench_payout")
