"""The funnel's ledger: the database itself writes it, so that no writer can make a count wrong.

What a registrant contributes is a function of the row:

- arrivals: +1 on (rung, no reason) in the hour of each rung's timestamp;
- reasons: +1 on (rung, reason) in the hour since when there is the reason, -1 in the hour in which it goes.

A statement adds what its new rows contribute and takes away what its old rows did. Who waits on a rung, without a reason, is
what is left: arrivals, less the arrivals on the next rung, less the reasons.
"""

from django.db import migrations

RUNGS = """
    LATERAL (VALUES
        (1, row.registered_at), (2, row.email_verified_at), (3, row.identity_verified_at), (4, row.phone_verified_at),
        (5, row.selected_at), (6, row.training_bought_at), (7, row.training_completed_at), (8, row.incentive_received_at)
    ) AS rung (stage, at)
"""

WHO = "row.wave_id AS wave, coalesce(row.selected_wave_id, 0) AS selected_wave, row.province"

WRITE = "INSERT INTO registrations_movement (wave, selected_wave, province, stage, drop_off, hour, people)"


def contribution(rows: str, sign: str) -> str:
    """What all of `rows` contribute: for a statement that only inserts, or only deletes."""
    return f"""
        {WRITE}
        SELECT {WHO}, rung.stage, 0, date_trunc('hour', rung.at) AS hour, {sign}count(*)
        FROM {rows} AS row, {RUNGS} WHERE rung.at IS NOT NULL
        GROUP BY wave, selected_wave, row.province, rung.stage, hour
        UNION ALL
        SELECT {WHO}, row.stage, row.drop_off, date_trunc('hour', row.drop_off_at) AS hour, {sign}count(*)
        FROM {rows} AS row WHERE row.drop_off <> 0
        GROUP BY wave, selected_wave, row.province, row.stage, row.drop_off, hour;
    """


CHANGE = f"""
    {WRITE}
    SELECT wave, selected_wave, province, stage, 0, hour, sum(people)
    FROM (
        SELECT {WHO}, rung.stage, date_trunc('hour', rung.at) AS hour, 1 AS people
        FROM new_rows AS row, {RUNGS} WHERE rung.at IS NOT NULL
        UNION ALL
        SELECT {WHO}, rung.stage, date_trunc('hour', rung.at), -1
        FROM old_rows AS row, {RUNGS} WHERE rung.at IS NOT NULL
    ) AS arrivals
    GROUP BY wave, selected_wave, province, stage, hour HAVING sum(people) <> 0;

    -- A reason goes when the next one, or none, came or when the person climbed: until then history keeps it.
    {WRITE}
    SELECT wave, selected_wave, province, stage, drop_off, date_trunc('hour', at) AS hour, sum(people)
    FROM (
        SELECT {WHO}, row.stage, row.drop_off, row.drop_off_at AS at, 1 AS people
        FROM new_rows AS row WHERE row.drop_off <> 0
        UNION ALL
        SELECT {WHO}, row.stage, row.drop_off,
               CASE WHEN after.id IS NULL OR (after.stage, after.drop_off) = (row.stage, row.drop_off) THEN row.drop_off_at
                    ELSE greatest(
                        row.drop_off_at,
                        after.drop_off_at,
                        CASE WHEN after.stage > row.stage THEN greatest(
                            after.email_verified_at, after.identity_verified_at, after.phone_verified_at, after.selected_at,
                            after.training_bought_at, after.training_completed_at, after.incentive_received_at
                        ) END
                    )
               END, -1
        FROM old_rows AS row LEFT JOIN new_rows AS after USING (id)
        WHERE row.drop_off <> 0
    ) AS reasons
    GROUP BY wave, selected_wave, province, stage, drop_off, hour HAVING sum(people) <> 0;
"""


def trigger(event: str, body: str, referencing: str = "") -> migrations.RunSQL:
    name = f"registrations_ledger_{event.lower()}"
    return migrations.RunSQL(
        f"""
        CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NULL; END $$;
        CREATE TRIGGER ledger_{event.lower()} AFTER {event} ON registrations_registrant
            {referencing} FOR EACH STATEMENT EXECUTE FUNCTION {name}();
        """,
        f"DROP TRIGGER ledger_{event.lower()} ON registrations_registrant; DROP FUNCTION {name};",
    )


class Migration(migrations.Migration):
    dependencies = [("registrations", "0001_initial")]

    operations = [
        trigger("INSERT", contribution("new_rows", "+"), "REFERENCING NEW TABLE AS new_rows"),
        trigger("DELETE", contribution("old_rows", "-"), "REFERENCING OLD TABLE AS old_rows"),
        trigger("UPDATE", CHANGE, "REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows"),
        trigger("TRUNCATE", "DELETE FROM registrations_movement; DELETE FROM registrations_cell;"),
        migrations.RunSQL(
            # Room on each page for the versions of three climbs, so that they touch no index (HOT).
            "ALTER TABLE registrations_registrant SET (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05);"
            "ALTER TABLE registrations_cell SET (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05);"
            "ALTER TABLE registrations_movement SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);",
            migrations.RunSQL.noop,
        ),
    ]
