"""Which gate is shut for whom: written on what is owed, and on the registrant who waits for the first payment."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from django.db import connection, transaction
from django.utils import timezone

from foundation.pg import array
from foundation.work import Claim, work_off
from incentives.gates import Gate, Ready, first_shut
from incentives.models import UNPAID
from incentives.terms import ITEMS, LAST_ITEM
from registrations import ladder
from registrations.holding import Held, hold
from registrations.stages import Stage
from trainings import gates as trainings_gates

Clock = Callable[[], datetime]

_UNPAID = ", ".join(str(state.value) for state in UNPAID)


def refresh_batch(*, size: int, clock: Clock = timezone.now) -> int:
    """Look again at one batch of people of whom a certificate or a review has come; return how many were in hand."""
    return work_off("gates", size=size, service=None, act=lambda claim: _refresh(claim, clock))


def _refresh(claim: Claim, clock: Clock) -> int:
    with claim.settling():
        refresh([item.subject for item in claim.items], at=clock())
    return len(claim.items)


def refresh(ids: Sequence[int], *, at: datetime) -> dict[int, Gate]:
    """Write down which gate is shut for these people now; return it for those who have completed a training."""
    with transaction.atomic(savepoint=False):
        held = hold(ids)
        found = gates_of(held)
        write(found, held, at=at)
    return found


def gates_of(held: Mapping[int, Held]) -> dict[int, Gate]:
    """The gate of each who has completed a training, of people in hand."""
    ids = [id for id, where in held.items() if where.stage >= Stage.TRAINING_COMPLETED]
    if not ids:
        return {}
    missing, accounts = trainings_gates.missing(ids), _accounts(ids)
    found = {}
    for id in ids:
        # Of whom no completed training is known, nothing was certified either.
        of_training = missing.get(id, _NOTHING)
        found[id] = first_shut(Ready(not of_training.certificate, not of_training.review, accounts.get(id)))
    return found


_NOTHING = trainings_gates.Missing(certificate=True, review=True)


def _accounts(ids: Iterable[int]) -> dict[int, Gate]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT registrant_id, gate FROM incentives_account
            WHERE registrant_id = ANY (%s::bigint[]) AND ended_at IS NULL
            """,
            [array(ids)],
        )
        return {id: _GATE[gate] for id, gate in cursor.fetchall()}


_GATE = {gate.value: gate for gate in Gate}


def write(found: Mapping[int, Gate], held: Mapping[int, Held], *, at: datetime) -> None:
    """The gates of people in hand, where they differ from what is written: on what is not paid and in no batch, and as their
    drop-off reason."""
    write_on_obligations(found)
    write_on_people(found, held, at=at)


def write_on_obligations(found: Mapping[int, Gate]) -> None:
    if not found:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            UPDATE incentives_obligation obligation SET gate = changed.gate
            FROM unnest(%s::bigint[], %s::smallint[]) AS person (id, gate), LATERAL (
                -- Looked up by the key, person by person, whatever the planner thinks of the other conditions: hence OFFSET.
                SELECT own.id, person.gate FROM incentives_obligation own
                WHERE own.id BETWEEN person.id * {ITEMS} + 1 AND person.id * {ITEMS} + {LAST_ITEM}
                  AND own.gate <> person.gate AND own.state IN ({_UNPAID}) AND own.batch_id IS NULL
                OFFSET 0
            ) AS changed
            WHERE obligation.id = changed.id
            """,
            [array(found), array(found.values())],
        )


def write_on_people(found: Mapping[int, Gate], held: Mapping[int, Held], *, at: datetime) -> None:
    waiting = {id: gate for id, gate in found.items() if held[id].stage == Stage.TRAINING_COMPLETED}
    shut = {id: gate.reason for id, gate in waiting.items() if gate and gate != held[id].drop_off}
    ladder.drop_off(shut, dict.fromkeys(shut, at))
    opened = [id for id, gate in waiting.items() if not gate and held[id].drop_off]
    if opened:
        ladder.clear_drop_off(opened, Stage.TRAINING_COMPLETED, at)
