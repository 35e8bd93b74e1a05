"""What the database itself sees to, so that no writer can lose a rupiah or pay one twice.

- The books. Each change of an obligation's state or gate is a line of the journal, which nothing changes afterwards, and a raw
  movement of the ledger's cells. Rupiah and obligations are counted by state and gate together; people by state (under gate 1:
  any) and by gate (under state 0: any), each person once in each. People cannot be counted row by row: the trigger holds the
  persons, so that two statements never count the same one twice.
- An obligation is never deleted, its amount never changes, and it goes only where `MOVES` says.
- An attempt is never deleted or given another account or amount, goes only where `PAYOUT_MOVES` says, and the next one begins only
  when the one before has failed, was given back or taken back.

The plans of these functions are made at their first call in a session, perhaps with one row or none, and kept: so rows are paired by
full joins, which are never looped over, and large tables are read by their indexes.
"""

from django.db import migrations

#: OPEN 1, SENDING 2, UNKNOWN 3, PAID 4, REVERSED 5, FAILED 6.
MOVES = [(1, 2), (2, 3), (2, 4), (2, 5), (2, 6), (3, 2), (3, 4), (3, 5), (3, 6), (4, 5), (5, 2), (6, 2), (6, 4)]
#: Besides PROPOSED 11, APPROVED 12, WITHDRAWN 13. What had failed and was paid after all: before another attempt only.
PAYOUT_MOVES = [(11, 12), (11, 13), (12, 13), (12, 2), *(move for move in MOVES if move[0] in (2, 3, 4)), (6, 4)]

OBLIGATION, PAYOUT, JOURNAL = "incentives_obligation", "incentives_payout", "incentives_journal"
#: The limit tells the planner what it cannot know: that nobody has more.
OF_PERSON = f"SELECT * FROM {OBLIGATION} WHERE id BETWEEN person.id * 16 AND person.id * 16 + 15 LIMIT 16"


def pairs(moves: list[tuple[int, int]]) -> str:
    return ", ".join(f"({a}, {b})" for a, b in moves)


def bits(state: str, gate: str) -> tuple[str, str]:
    """A bit for a state, and one for a gate: what somebody has in several rows is the union of these."""
    return f"1 << {state}", f"CASE WHEN {gate} > 70 THEN 1 << ({gate} - 70) ELSE 0 END"


STATE, GATE = bits("state", "gate")
OLD_STATE, OLD_GATE = bits("old_state", "old_gate")


def people(was: str, now: str, numbers: str, columns: str) -> str:
    """So many people more, or fewer, for each of the bits in which `was` and `now` differ."""
    return f"""
        SELECT {columns}, 0::bigint AS obligations, 0::bigint AS rupiah, sum(({now} >> bit & 1) - ({was} >> bit & 1)) AS people
        FROM person, {numbers} AS bit WHERE {was} <> {now} GROUP BY bit
    """


def book(changed: str) -> str:
    """Journal and movements, out of `changed`: obligations with their `old_` (0: none) and `new_` state and gate."""
    return f"""
    persons := ARRAY(SELECT DISTINCT id / 16 FROM new_rows);
    -- Held in one order: whoever counts the same people at this moment comes before us or after us.
    PERFORM 1 FROM registrations_registrant WHERE id = ANY (persons) ORDER BY id FOR NO KEY UPDATE;
    WITH changed AS MATERIALIZED ({changed}), posted AS (
        INSERT INTO {JOURNAL} (obligation_id, at, rupiah, from_state, from_gate, to_state, to_gate)
        SELECT id, clock_timestamp(), amount, old_state, old_gate, new_state, new_gate FROM changed
    ), person AS MATERIALIZED (
        SELECT bit_or({STATE}) AS states, bit_or({GATE}) AS gates,
               bit_or(CASE WHEN old_state IS NULL THEN {STATE} WHEN old_state > 0 THEN {OLD_STATE} ELSE 0 END) AS old_states,
               bit_or(CASE WHEN old_state IS NULL THEN {GATE} ELSE {OLD_GATE} END) AS old_gates
        FROM (
            SELECT person.id AS person, o.id, o.state, o.gate
            FROM unnest(persons) AS person (id), LATERAL ({OF_PERSON}) AS o
        ) AS owed FULL JOIN changed USING (id)
        GROUP BY person
    ), counted AS (
        SELECT new_state AS state, new_gate AS gate, count(*) AS obligations, sum(amount) AS rupiah, 0 AS people
        FROM changed GROUP BY 1, 2
        UNION ALL
        SELECT old_state, old_gate, -count(*), -sum(amount), 0 FROM changed WHERE old_state <> 0 GROUP BY 1, 2
        UNION ALL {people("old_states", "states", "generate_series(1, 6)", "bit AS state, 1 AS gate")}
        UNION ALL {people("old_gates", "gates", "generate_series(1, 9)", "0, bit + 70")}
    )
    INSERT INTO incentives_movement (state, gate, obligations, rupiah, people)
    SELECT state, gate, sum(obligations), sum(rupiah), sum(people) FROM counted GROUP BY 1, 2
    HAVING sum(obligations) <> 0 OR sum(rupiah) <> 0 OR sum(people) <> 0;
    """


INSERT = book(
    "SELECT id, amount, 0::smallint AS old_state, 0::smallint AS old_gate, state AS new_state, gate AS new_gate FROM new_rows"
)

MOVED = "(prior.state, prior.gate) IS DISTINCT FROM (fresh.state, fresh.gate)"

CHANGED = f"""
    SELECT id, fresh.amount, prior.state AS old_state, prior.gate AS old_gate, fresh.state AS new_state, fresh.gate AS new_gate
    FROM old_rows prior FULL JOIN new_rows fresh USING (id) WHERE {MOVED}
"""

UPDATE = f"""
    SELECT coalesce(bool_or(is_wrong), false), coalesce(bool_or(is_move), false) INTO any_wrong, any_move FROM (
        SELECT {MOVED} AS is_move,
               prior.amount IS DISTINCT FROM fresh.amount OR fresh.attempt < prior.attempt
                   OR (prior.state <> fresh.state AND (prior.state, fresh.state) NOT IN ({pairs(MOVES)})) AS is_wrong
        FROM old_rows prior FULL JOIN new_rows fresh USING (id)
    ) AS pair;
    IF any_wrong THEN
        RAISE EXCEPTION 'an obligation cannot change so' USING ERRCODE = 'check_violation';
    END IF;
    IF NOT any_move THEN
        RETURN NULL;
    END IF;
    {book(CHANGED)}
"""

PAYOUT_INSERT = f"""
    IF EXISTS (SELECT 1 FROM new_rows WHERE state <> 11) OR EXISTS (
        SELECT 1 FROM (SELECT * FROM new_rows WHERE attempt > 1) AS fresh LEFT JOIN LATERAL (
            SELECT state FROM {PAYOUT} p WHERE p.obligation_id = fresh.obligation_id AND p.attempt = fresh.attempt - 1
        ) AS before ON true
        WHERE coalesce(before.state, 0) NOT IN (5, 6, 13)
    ) THEN
        RAISE EXCEPTION 'the attempt before is not over' USING ERRCODE = 'check_violation';
    END IF;
"""

PAYOUT_UPDATE = f"""
    IF EXISTS (
        SELECT 1 FROM old_rows prior FULL JOIN new_rows fresh USING (obligation_id, attempt)
        WHERE (prior.account_id, prior.amount, prior.batch_id, prior.block) IS DISTINCT FROM
              (fresh.account_id, fresh.amount, fresh.batch_id, fresh.block)
           OR (prior.state <> fresh.state AND (prior.state, fresh.state) NOT IN ({pairs(PAYOUT_MOVES)}))
    ) THEN
        RAISE EXCEPTION 'a payout cannot change so' USING ERRCODE = 'check_violation';
    END IF;
"""

NEVER = "RAISE EXCEPTION '% is never %d', TG_TABLE_NAME, lower(TG_OP) USING ERRCODE = 'check_violation';"


def trigger(table: str, event: str, body: str, referencing: str = "", declare: str = "") -> migrations.RunSQL:
    name = f"{table}_{event.lower().replace(' or ', '_')}"
    return migrations.RunSQL(
        f"""
        CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$ {declare} BEGIN {body} RETURN NULL; END $$;
        CREATE TRIGGER books_{event.lower().replace(" or ", "_")} AFTER {event} ON {table}
            {referencing} FOR EACH STATEMENT EXECUTE FUNCTION {name}();
        """,
        f"DROP TRIGGER books_{event.lower().replace(' or ', '_')} ON {table}; DROP FUNCTION {name};",
    )


NEW, OLD, BOTH = (
    "REFERENCING NEW TABLE AS new_rows",
    "REFERENCING OLD TABLE AS old_rows",
    "REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows",
)
PERSONS = "DECLARE persons bigint[]; any_wrong boolean; any_move boolean;"


class Migration(migrations.Migration):
    dependencies = [("incentives", "0001_initial"), ("registrations", "0005_after_the_decree")]

    operations = [
        trigger(OBLIGATION, "INSERT", INSERT, NEW, PERSONS),
        trigger(OBLIGATION, "UPDATE", UPDATE, BOTH, PERSONS),
        trigger(OBLIGATION, "DELETE", NEVER),
        trigger(OBLIGATION, "TRUNCATE", "DELETE FROM incentives_movement; DELETE FROM incentives_cell;"),
        trigger(PAYOUT, "INSERT", PAYOUT_INSERT, NEW),
        trigger(PAYOUT, "UPDATE", PAYOUT_UPDATE, BOTH),
        trigger(PAYOUT, "DELETE", NEVER),
        trigger(JOURNAL, "UPDATE OR DELETE", NEVER),
        migrations.RunSQL(
            "ALTER TABLE incentives_obligation SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);"
            "ALTER TABLE incentives_payout SET (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05);"
            "ALTER TABLE incentives_account SET (fillfactor = 80);"
            "ALTER TABLE incentives_movement SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);",
            migrations.RunSQL.noop,
        ),
    ]
