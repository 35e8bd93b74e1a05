"""(b) The floor: the chain's end state once more by bare SQL, which knows all outcomes beforehand.

Two connections, blocks of 10,000: COPY of the people, their sealed data and their one-time codes as they are at the end, then
three updates and three lots of unique claims a block, the ledger's triggers on and folded. No sealing, no services, no work in
parcels, nothing read or written twice.
"""

import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

import psycopg2
from django.db import connection

from benchmarks.clock import checkpoint
from registrations import funnel
from registrations.ownership import PROOFS
from registrations.stages import Stage

BLOCK = 10_000
WRITERS = 2

_PEOPLE = "id, reference, registered_at, wave_id, province, birth_year, sex, education, employment, consent, revision, citizen, studying"
_CODES = "registrant_id, challenge, mac, expires_at, sent_at, tried_at, tries, life_tries, delivery"
_TABLES = {
    "registrations_registrant": (f"{_PEOPLE}, stage, drop_off", f"SELECT {_PEOPLE}, 1, 0 FROM registrations_registrant"),
    "registrations_personaldata": (
        "registrant_id, sealed",
        "SELECT registrant_id, sealed FROM registrations_personaldata",
    ),
    "verification_onetimecode": (_CODES, f"SELECT {_CODES} FROM verification_onetimecode"),
}


def measure(people: int) -> dict[str, float]:
    """The people whom the chain has left, all over again."""
    before = funnel.read()
    with tempfile.TemporaryDirectory(prefix="prakerja-floor-") as folder:
        blocks = list(_prepare(Path(folder)))
        checkpoint()
        start = time.perf_counter()
        _run(blocks)
        wall = time.perf_counter() - start
    if funnel.read() != before:
        raise SystemExit("the floor did not come to the same funnel")
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE bench_outcome")
    return {"floor_per_s": people / wall}


def _prepare(folder: Path) -> Iterator[tuple[int, int, Path]]:
    """Write down what will be copied in and what comes of it, and empty the tables; first and last id of each block."""
    claims = "".join(
        f" LEFT JOIN {proof.owner._meta.db_table} rung_{stage} ON rung_{stage}.registrant_id = person.id"
        for stage, proof in PROOFS.items()
    )
    with connection.cursor() as cursor:
        cursor.execute("SET work_mem = '256MB'")
        cursor.execute(
            f"""
            CREATE TABLE bench_outcome AS
            SELECT person.id, person.stage, drop_off, drop_off_at,
                   {", ".join(f"{stage.timestamp}, rung_{stage}.digest AS proof_{stage}" for stage in PROOFS)}
            FROM registrations_registrant person {claims} ORDER BY person.id
            """
        )
        cursor.execute("RESET work_mem")
        cursor.execute("ALTER TABLE bench_outcome ADD PRIMARY KEY (id)")
        cursor.execute("ANALYZE bench_outcome")
        cursor.execute("SELECT id FROM bench_outcome ORDER BY id")
        ids = (id for (id,) in cursor.fetchall())
        while block := list(islice(ids, BLOCK)):
            first, last = block[0], block[-1]
            for table, (_, select) in _TABLES.items():
                with (folder / f"{first}-{table}").open("wb") as file:
                    key = "registrant_id" if "registrant_id" in select else "id"
                    cursor.copy_expert(f"COPY ({select} WHERE {key} BETWEEN {first} AND {last}) TO STDOUT", file)
            yield first, last, folder / str(first)
        owners = ", ".join(proof.owner._meta.db_table for proof in PROOFS.values())
        cursor.execute(f"TRUNCATE {', '.join(_TABLES)}, {owners}, registrations_movement, registrations_cell")


def _run(blocks: list[tuple[int, int, Path]]) -> None:
    queue: SimpleQueue[tuple[int, int, Path]] = SimpleQueue()
    for block in blocks:
        queue.put(block)
    writers = [Thread(target=_write, args=(queue,)) for _ in range(WRITERS)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        writers[0].join(5)
        funnel.fold()
    for writer in writers:
        writer.join()
    funnel.fold()


def _write(queue: "SimpleQueue[tuple[int, int, Path]]") -> None:
    with psycopg2.connect(**connection.get_connection_params()) as database, database.cursor() as cursor:
        while True:
            try:
                first, last, path = queue.get_nowait()
            except Empty:
                return
            for table, (columns, _) in _TABLES.items():
                with Path(f"{path}-{table}").open("rb") as file:
                    cursor.copy_expert(f"COPY {table} ({columns}) FROM STDIN", file)
            database.commit()
            for stage, proof in PROOFS.items():
                within = f"outcome.id BETWEEN {first} AND {last}"
                cursor.execute(
                    f"""
                    INSERT INTO {proof.owner._meta.db_table} (registrant_id, digest)
                    SELECT id, proof_{stage} FROM bench_outcome outcome WHERE {within} AND stage >= {stage}
                    ON CONFLICT DO NOTHING
                    """
                )
                _update(
                    cursor,
                    f"stage = {stage}, {stage.timestamp} = outcome.{stage.timestamp}",
                    stage.below,
                    f"outcome.stage >= {stage} AND {within}",
                )
                _update(
                    cursor,
                    "drop_off = outcome.drop_off, drop_off_at = outcome.drop_off_at",
                    stage.below,
                    f"outcome.stage = {stage.below} AND outcome.drop_off <> 0 AND {within}",
                )
                database.commit()


def _update(cursor: "psycopg2.extensions.cursor", change: str, stage: Stage, condition: str) -> None:
    cursor.execute(
        f"""
        UPDATE registrations_registrant person SET {change} FROM bench_outcome outcome
        WHERE person.id = outcome.id AND person.stage = {stage} AND {condition}
        """
    )
