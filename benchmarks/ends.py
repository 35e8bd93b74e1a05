"""(d, h) What the chain has left: how fast the funnel is read, what counting costs instead, and how much room it takes."""

import random
import statistics
from datetime import timedelta
from functools import partial

from django.db import connection

from benchmarks.clock import room, seconds
from prakerja.simulation import programme
from registrations import funnel
from registrations.models import Registrant

READS = 2000


def measure() -> dict[str, float]:
    people = Registrant.objects.count()
    rng = random.Random(1)
    start, hours = programme.OPENINGS[1].opens_at, (programme.END - programme.OPENINGS[1].opens_at) // timedelta(hours=1)
    views = [
        funnel.View(
            wave=rng.choice([None, *programme.WAVES]),
            as_of=rng.choice([None, start + timedelta(hours=rng.randrange(hours))]),
        )
        for _ in range(READS)
    ]
    funnel.read()
    reads = sorted(1000 * seconds(partial(funnel.read, view)) for view in views)
    exact = seconds(_group_by)
    result: list[funnel.Recount] = []
    recount = seconds(lambda: result.append(funnel.recount()))
    if result[0].differences:
        raise SystemExit("the ledger does not agree with the people")
    return {
        "funnel_read_ms_median": statistics.median(reads),
        "funnel_read_ms_p99": reads[int(READS * 0.99)],
        "group_by_ms": 1000 * exact,
        "recount_s": recount,
        "ledger_cells": result[0].cells,
        "bytes_per_registrant": room() / people,
        "dead_rows_share": _value(
            "SELECT sum(n_dead_tup)::float / sum(n_live_tup + n_dead_tup) FROM pg_stat_user_tables WHERE n_live_tup > 1000"
        ),
        "hot_updates_share": _value(
            "SELECT n_tup_hot_upd::float / n_tup_upd FROM pg_stat_user_tables WHERE relname = 'registrations_registrant'"
        ),
    }


def _group_by() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT wave_id, stage, drop_off, count(*) FROM registrations_registrant GROUP BY 1, 2, 3")
        cursor.fetchall()


def _value(statement: str) -> float:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return float(cursor.fetchone()[0])
