"""What recipients do after the decree, as `manage.py simulate` runs it; against the same end state by bare SQL.

The bare SQL knows all outcomes beforehand: two connections, blocks of 5,000 recipients, inserts and updates out of prepared
tables, with all triggers on: the purchases' money, the funnel's ledger, the incentives' books. No sealing, no payers, no parcels,
nothing over HTTP, one update where the programme has a step of its own for each partner.
"""

import time
from queue import Empty, SimpleQueue
from threading import Thread

import psycopg2
from django.db import connection

from benchmarks.clock import room, settle, watched
from incentives import ledger
from registrations import funnel
from registrations.stages import Stage
from trainings import accounts
from waves.models import Recipient

BLOCK = 5000
WRITERS = 2
#: So many registrants at most: the decrees before it take their time, and count for nothing here.
MOST = 1_000_000


def measure(people: int) -> dict[str, float]:
    """The recipients of so many registrants; leaves them in the database."""
    command = ("simulate", "--registrants", str(min(people, MOST)), "--seed", "1")
    watched(*command, "--reset", "--without-spending")
    # What the command does beside: it starts, sees that there is nothing to do, and reports.
    idle = watched(*command, "--without-spending").seconds
    recipients = Recipient.objects.count()
    settle()
    run = watched(*command)
    wall = run.seconds - idle
    taken = room()
    dead = _dead_rows()
    floor = _floor()
    return {
        "spending_recipients": recipients,
        "spending_per_s": recipients / wall,
        "spending_s": wall,
        "spending_floor_per_s": recipients / floor,
        "spending_ratio": wall / floor,
        "spending_all_python_rss_mb": sum(run.memory),
        # After the last rung; `bytes_per_registrant` is after the chain.
        "spending_bytes_per_registrant": taken / min(people, MOST),
        **dead,
    }


def _dead_rows() -> dict[str, float]:
    """Of the ten largest tables, so many dead rows for each row that lives, by PostgreSQL's own counts."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT relname, n_dead_tup::float / greatest(n_live_tup, 1) FROM pg_stat_user_tables
            ORDER BY pg_total_relation_size(relid) DESC LIMIT 10
            """
        )
        return {f"dead_rows_{table}": share for table, share in cursor.fetchall()}


_PURCHASE = "id, registrant_id, training_id, price, bought_at, redeem_code, platform, reference"
_BECOMES = (
    "redeemed_at, attended_at, completed_at, cancelled_at, certified_at, state, score, meetings, is_first, "
    "certificate_number, certificate_sha256"
)
_ACCOUNT = "id, registrant_id, digest, linked_at, checked_at, ended_at, sealed, payer, gate"
_PAYOUT = "obligation_id, attempt, account_id, amount, batch_id, block"

_TABLES = ("person", "grant", "purchase", "review", "account", "obligation", "payout")

_PREPARE = f"""
    CREATE UNLOGGED TABLE bench_person AS
    SELECT id, stage, drop_off, drop_off_at, training_bought_at, training_completed_at, incentive_received_at,
           (row_number() OVER (ORDER BY id) - 1) / {BLOCK} AS part
    FROM registrations_registrant WHERE stage >= {Stage.TRAINING_BOUGHT};
    ALTER TABLE bench_person ADD PRIMARY KEY (id);
    CREATE UNLOGGED TABLE bench_grant AS
    SELECT part, at, credit, amount FROM trainings_transfer JOIN bench_person person ON person.id = credit WHERE kind = 1;
    CREATE UNLOGGED TABLE bench_purchase AS
    SELECT part, purchase.* FROM trainings_purchase purchase JOIN bench_person person ON person.id = registrant_id;
    CREATE UNLOGGED TABLE bench_review AS
    SELECT part, review.* FROM trainings_review review
    JOIN trainings_purchase purchase ON purchase.id = purchase_id JOIN bench_person person ON person.id = registrant_id;
    CREATE UNLOGGED TABLE bench_account AS
    SELECT part, account.* FROM incentives_account account JOIN bench_person person ON person.id = registrant_id;
    CREATE UNLOGGED TABLE bench_obligation AS
    SELECT part, o.* FROM incentives_obligation o JOIN bench_person person ON person.id = o.id / 16;
    CREATE UNLOGGED TABLE bench_payout AS
    SELECT part, payout.* FROM incentives_payout payout JOIN bench_person person ON person.id = obligation_id / 16;
    {"".join(f"CREATE INDEX ON bench_{name} (part);" for name in _TABLES)}
    TRUNCATE trainings_purchase, trainings_review, trainings_transfer, trainings_balance, incentives_account,
             incentives_obligation, incentives_payout, incentives_journal, incentives_movement, incentives_cell;
    UPDATE registrations_registrant registrant
    SET stage = {Stage.SELECTED}, drop_off = 0, drop_off_at = NULL, training_bought_at = NULL, training_completed_at = NULL,
        incentive_received_at = NULL
    FROM bench_person person WHERE person.id = registrant.id
"""


def _climb(stage: Stage) -> str:
    return f"""
        UPDATE registrations_registrant registrant SET stage = {stage}, {stage.timestamp} = person.{stage.timestamp}
        FROM bench_person person WHERE person.id = registrant.id AND part = %(part)s AND person.stage >= {stage}
    """


_STEPS = (
    """
    INSERT INTO trainings_transfer (at, debit, credit, amount, kind) SELECT at, 0, credit, amount, 1 FROM bench_grant
    WHERE part = %(part)s
    """,
    f"""
    INSERT INTO trainings_purchase ({_PURCHASE}, state, is_first, meetings) SELECT {_PURCHASE}, 1, false, 0
    FROM bench_purchase WHERE part = %(part)s
    """,
    _climb(Stage.TRAINING_BOUGHT),
    f"""
    UPDATE trainings_purchase purchase SET ({_BECOMES}) = ROW ({", ".join(f"was.{column}" for column in _BECOMES.split(", "))})
    FROM bench_purchase was WHERE was.id = purchase.id AND part = %(part)s AND was.state > 1
    """,
    _climb(Stage.TRAINING_COMPLETED),
    """
    INSERT INTO trainings_review (purchase_id, at, rating, text) SELECT purchase_id, at, rating, text
    FROM bench_review WHERE part = %(part)s
    """,
    f"INSERT INTO incentives_account ({_ACCOUNT}) SELECT {_ACCOUNT} FROM bench_account WHERE part = %(part)s",
    """
    INSERT INTO incentives_obligation (id, due_at, amount, state, gate, attempt) SELECT id, due_at, amount, 1, gate, 0
    FROM bench_obligation WHERE part = %(part)s ORDER BY id
    """,
    """
    UPDATE registrations_registrant registrant SET drop_off = person.drop_off, drop_off_at = person.drop_off_at
    FROM bench_person person WHERE person.id = registrant.id AND part = %(part)s AND person.drop_off <> 0
    """,
    f"""
    INSERT INTO incentives_payout ({_PAYOUT}, state, reason) SELECT {_PAYOUT}, 11, 0 FROM bench_payout WHERE part = %(part)s
    """,
    """
    UPDATE incentives_obligation o SET batch_id = was.batch_id, attempt = was.attempt
    FROM bench_obligation was WHERE was.id = o.id AND part = %(part)s AND was.batch_id IS NOT NULL
    """,
    *(
        f"""
        UPDATE incentives_payout payout SET state = {state}, sent_at = {sent}, settled_at = {settled} FROM bench_payout was
        WHERE was.obligation_id = payout.obligation_id AND was.attempt = payout.attempt AND part = %(part)s AND was.state <> 11
        """
        for state, sent, settled in ((12, "NULL", "NULL"), (2, "was.sent_at", "NULL"), (4, "was.sent_at", "was.settled_at"))
    ),
    *(
        f"""
        UPDATE incentives_obligation o SET state = {state}, paid_at = {paid} FROM bench_obligation was
        WHERE was.id = o.id AND part = %(part)s AND was.state = 4
        """
        for state, paid in ((2, "NULL"), (4, "was.paid_at"))
    ),
    _climb(Stage.INCENTIVE_RECEIVED),
)


def _floor() -> float:
    """Seconds for the end state, all over again. Raises `SystemExit` when it is another one."""
    funnel.fold()
    ledger.fold()
    before = funnel.read(), ledger.read()
    with connection.cursor() as cursor:
        cursor.execute(_PREPARE)
        cursor.execute("SELECT DISTINCT part FROM bench_person ORDER BY 1")
        parts = [part for (part,) in cursor.fetchall()]
        funnel.fold()
    settle()
    start = time.perf_counter()
    _run(parts)
    wall = time.perf_counter() - start
    ledger.fold()
    if (funnel.read(), ledger.read()) != before or accounts.recount():
        raise SystemExit("the bare SQL did not come to the same end")
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {', '.join(f'bench_{name}' for name in _TABLES)}")
    return wall


def _run(parts: list[int]) -> None:
    queue: SimpleQueue[int] = SimpleQueue()
    for part in parts:
        queue.put(part)
    writers = [Thread(target=_write, args=(queue,)) for _ in range(WRITERS)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        writers[0].join(5)
        funnel.fold()
    for writer in writers:
        writer.join()
    funnel.fold()


def _write(queue: "SimpleQueue[int]") -> None:
    with psycopg2.connect(**connection.get_connection_params()) as database, database.cursor() as cursor:
        while True:
            try:
                part = queue.get_nowait()
            except Empty:
                return
            for step in _STEPS:
                cursor.execute(step, {"part": part})
            database.commit()
