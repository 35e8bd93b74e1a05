"""The money and the seats: the database itself keeps them, so that no writer can make a rupiah of a purchase go missing.

- A purchase that is inserted pays its price, from the registrant's account to its training's, and takes a seat.
- One that is cancelled pays it back and gives the seat up.
- A balance is the sum of the registrant's transfers, and never below zero: a purchase that it does not cover is refused.

Nobody else writes transfers, but for the grant, nor balances, nor how many seats are taken. A purchase's terms never change,
and its state only goes on.
"""

from django.db import migrations

REFUSED = "USING ERRCODE = 'integrity_constraint_violation'"

BOUGHT = f"""
    IF EXISTS (SELECT FROM new_rows WHERE state <> 1) THEN
        RAISE EXCEPTION 'a purchase begins as bought' {REFUSED};
    END IF;
    UPDATE trainings_training training SET taken = taken + bought.count
    FROM (SELECT training_id, count(*) FROM new_rows GROUP BY 1) AS bought
    WHERE training.id = bought.training_id AND training.seats IS NOT NULL;
    INSERT INTO trainings_transfer (at, debit, credit, purchase_id, amount, kind)
    SELECT bought_at, registrant_id, -training_id, id, price, 2 FROM new_rows;
"""

TERMS = "registrant_id, training_id, price, platform, reference, redeem_code, bought_at"


def of(version: str, columns: str) -> str:
    return f"({', '.join(f'{version}.{column}' for column in columns.split(', '))})"


CHANGED = f"""
    IF EXISTS (
        SELECT FROM old_rows was FULL JOIN new_rows row USING (id)
        WHERE {of("was", TERMS)} IS DISTINCT FROM {of("row", TERMS)} OR row.state < was.state
           OR was.state >= 4 AND {of("was", "state, completed_at, cancelled_at, is_first")}
                                 IS DISTINCT FROM {of("row", "state, completed_at, cancelled_at, is_first")}
           OR was.certified_at IS NOT NULL AND {of("was", "certified_at, certificate_number, certificate_sha256")}
                                 IS DISTINCT FROM {of("row", "certified_at, certificate_number, certificate_sha256")}
    ) THEN
        RAISE EXCEPTION 'a purchase goes on, never back' {REFUSED};
    END IF;
    IF EXISTS (SELECT FROM new_rows WHERE state = 5) THEN
        UPDATE trainings_training training SET taken = taken - cancelled.count
        FROM (
            SELECT row.training_id, count(*) FROM old_rows was JOIN new_rows row USING (id)
            WHERE row.state = 5 AND was.state < 5 GROUP BY 1
        ) AS cancelled
        WHERE training.id = cancelled.training_id AND training.seats IS NOT NULL;
        INSERT INTO trainings_transfer (at, debit, credit, purchase_id, amount, kind)
        SELECT row.cancelled_at, -row.training_id, row.registrant_id, row.id, row.price, 3
        FROM old_rows was JOIN new_rows row USING (id) WHERE row.state = 5 AND was.state < 5;
    END IF;
"""

# A check constraint is held against the row that is proposed, before it is known to be there already: so no `ON CONFLICT`.
MOVED = f"""
    IF pg_trigger_depth() = 1 AND EXISTS (SELECT FROM new_rows WHERE kind <> 1) THEN
        RAISE EXCEPTION 'purchases and refunds are transferred by the purchase itself' {REFUSED};
    END IF;
    WITH legs AS (
        SELECT account, sum(amount) AS amount FROM (
            SELECT debit AS account, -amount AS amount FROM new_rows WHERE debit > 0
            UNION ALL SELECT credit, amount FROM new_rows WHERE credit > 0
        ) AS leg GROUP BY account
    ), changed AS (
        UPDATE trainings_balance balance SET balance = balance.balance + legs.amount
        FROM legs WHERE balance.registrant_id = legs.account RETURNING balance.registrant_id
    )
    INSERT INTO trainings_balance (registrant_id, balance)
    SELECT account, amount FROM legs WHERE account NOT IN (SELECT registrant_id FROM changed);
"""

FIXED = "platform_id, provider_id, code"

TRAINING_CHANGED = f"""
    IF EXISTS (
        SELECT FROM old_rows was JOIN new_rows row USING (id)
        WHERE {of("was", FIXED)} <> {of("row", FIXED)} OR (was.seats IS NULL) <> (row.seats IS NULL)
           OR was.taken <> row.taken AND pg_trigger_depth() = 1
    ) THEN
        RAISE EXCEPTION 'who sells and gives a training, whether it is limited, and the seats taken stay' {REFUSED};
    END IF;
"""


def trigger(table: str, when: str, body: str, referencing: str = "", condition: str = "") -> migrations.RunSQL:
    name = f"{table}_{when.split()[-1].lower()}"
    return migrations.RunSQL(
        f"""
        CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NULL; END $$;
        CREATE TRIGGER {name} {when} ON {table} {referencing} FOR EACH STATEMENT {condition} EXECUTE FUNCTION {name}();
        """,
        f"DROP TRIGGER {name} ON {table}; DROP FUNCTION {name};",
    )


def refuse(message: str) -> str:
    return f"RAISE EXCEPTION '{message}' {REFUSED};"


NEW = "REFERENCING NEW TABLE AS new_rows"
BOTH = "REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows"


class Migration(migrations.Migration):
    dependencies = [("trainings", "0001_initial")]

    operations = [
        trigger("trainings_purchase", "AFTER INSERT", BOUGHT, NEW),
        trigger("trainings_purchase", "AFTER UPDATE", CHANGED, BOTH),
        trigger("trainings_purchase", "BEFORE DELETE", refuse("a purchase is never deleted")),
        trigger("trainings_training", "AFTER UPDATE", TRAINING_CHANGED, BOTH),
        trigger("trainings_transfer", "AFTER INSERT", MOVED, NEW),
        trigger("trainings_transfer", "BEFORE UPDATE", refuse("a transfer is never changed")),
        trigger("trainings_transfer", "BEFORE DELETE", refuse("a transfer is never deleted")),
        trigger("trainings_transfer", "AFTER TRUNCATE", "DELETE FROM trainings_balance;"),
        trigger(
            "trainings_balance",
            "BEFORE INSERT OR UPDATE OR DELETE",
            refuse("a balance is what the transfers say"),
            condition="WHEN (pg_trigger_depth() = 0)",
        ),
        migrations.RunSQL(
            # Room on each page for the next versions, so that they touch no index (HOT).
            "ALTER TABLE trainings_purchase SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);"
            "ALTER TABLE trainings_balance SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);",
            migrations.RunSQL.noop,
        ),
    ]
