"""A draw of twelve million tickets at a million people, against the same order by bare SQL."""

import hashlib
import os
import resource
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import IO

from django.db import connection
from django.utils import timezone

from benchmarks.clock import seconds
from prakerja.simulation import drive
from registrations.models import Wave
from waves import draw as drawing
from waves import merkle, programme, publishing
from waves.models import Draw, Plan, RuleSet, Screening
from waves.randomness import MockBeacon

#: A fifteenth of the tickets is taken: 800,000 of 12 million.
SHARE = 15
CAP = 2
#: As anybody runs it on the files of a draw.
CHECKER = Path(__file__).resolve().parent.parent / "tools" / "verify_draw.py"


class Nowhere:
    """Takes what a COPY gives."""

    def write(self, data: bytes) -> int:
        return len(data)


def measure(tickets: int) -> dict[str, float]:
    """Two rooms, three tickets a household for one in four, at most two of them taken."""
    now = timezone.now()
    drive.forget_everything()
    draw = _frozen(tickets, at=now - timedelta(hours=2))
    beacon = MockBeacon()
    before = now - timedelta(hours=1)
    drawing.commit(draw, chain=beacon.chain, round=beacon.chain.first_after(before), at=before)
    memory = _memory()
    # Before, and after: whatever the first of two gets ready for the second one counts for neither.
    bare = _order()
    wall = seconds(lambda: drawing.run(draw, signature=beacon.signature(draw.round or 0) or b"", at=now))
    bare = min(bare, _order())
    drawing.publish(draw, at=now)
    with tempfile.TemporaryDirectory(prefix="prakerja-draw-") as folder:
        publish = seconds(lambda: publishing.write(draw, Path(folder)))
        verified = seconds(lambda: subprocess.run([sys.executable, CHECKER, folder], check=True, stdout=subprocess.DEVNULL))
    if draw.selected != tickets // SHARE:
        raise SystemExit(f"the draw took {draw.selected}")
    return {
        "draw_tickets": tickets,
        "draw_s": wall,
        "draw_order_s": bare,
        "draw_ratio": wall / bare,
        "draw_publish_s": publish,
        "draw_verified_s": verified,
        "draw_grown_mb": _memory() - memory,
    }


def _frozen(tickets: int, *, at: datetime) -> Draw:
    programme.load_rule_sets()
    wave = Wave.objects.create(
        number=1, opens_at=at - timedelta(days=5), closes_at=at - timedelta(days=1), quota=tickets // SHARE
    )
    rules = RuleSet.objects.get(name="2021-03")
    Plan.objects.create(wave=wave, rule_set=rules)
    screening = Screening.objects.create(wave=wave, rule_set=rules, applications=tickets, ineligible=0, reasons={})
    draw = Draw.objects.create(
        wave=wave,
        attempt=1,
        screening=screening,
        quota=tickets // SHARE,
        household_cap=CAP,
        rooms=[{"number": number, "name": f"room {number}", "seats": tickets // SHARE // 10} for number in (1, 2)],
        frozen_at=at,
        tickets=tickets,
        list_sha256=os.urandom(32),
        root=os.urandom(32),
        subtrees=b"",
    )
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO waves_ticket (draw_id, position, number, registrant_id, room, household, before)
            SELECT %(draw)s, row_number() OVER (ORDER BY number) - 1, number, nth,
                   CASE WHEN nth %% 5 = 0 THEN 1 WHEN nth %% 7 = 0 THEN 2 ELSE 0 END,
                   CASE WHEN nth %% 4 = 0 THEN substring(uuid_send(md5(((nth - 1) / 12)::text)::uuid) FROM 1 FOR 8) END, 0
            FROM (
                SELECT nth, ('x' || left(md5(nth::text || %(salt)s), 15))::bit(60)::bigint AS number
                FROM generate_series(1, %(tickets)s) AS nth
            ) tickets ORDER BY number
            """,
            {"draw": draw.pk, "tickets": tickets, "salt": os.urandom(8).hex()},
        )
        cursor.execute("VACUUM ANALYZE waves_ticket")
    with tempfile.TemporaryFile() as file:
        publishing.write_tickets(draw, file)
        file.seek(0)
        draw.list_sha256 = hashlib.file_digest(file, "sha256").digest()
        draw.root = _root(file)
        draw.save()
    return draw


def _root(file: IO[bytes]) -> bytes:
    file.seek(len(drawing.LIST_HEADER))
    tree = merkle.Tree()
    while lines := list(islice(file, 100_000)):
        tree.add(line[:-1] for line in lines)
    return tree.root()


def _order() -> float:
    """Seconds for the order alone: every ticket by its key, handed over and thrown away."""
    with connection.cursor() as cursor:
        cursor.execute("SET work_mem = '512MB'")
        seed = os.urandom(32).hex()
        select = f"SELECT position FROM waves_ticket ORDER BY sha256('\\x{seed}'::bytea || int8send(number)), number"
        found = seconds(lambda: cursor.copy_expert(f"COPY ({select}) TO STDOUT", Nowhere()))
        cursor.execute("RESET work_mem")
    return found


def _memory() -> float:
    """The most memory (MiB) that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
