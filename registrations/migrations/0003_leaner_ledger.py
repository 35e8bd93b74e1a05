"""The ledger's triggers, writing the same with less work: a statement of thousands of climbs is what they see most.

What a registrant contributes is told in `0002_ledger`. Here an insert looks at the later rungs of those only who have any,
and an update pairs each row's two versions once: a plain climb, which touches one rung's timestamp and nothing else that
counts, is one movement; everything else is worked out rung by rung. Hours are counted from a fixed instant, whatever the
session's time zone is.
"""

from importlib import import_module

from django.db import migrations

from registrations.stages import Stage

before = import_module("registrations.migrations.0002_ledger")

WRITE = before.WRITE
WHO = before.WHO
TIMES = [stage.timestamp for stage in Stage]


def hour(at: str) -> str:
    return f"date_bin('1 hour', {at}, timestamptz 'epoch')"


def contribution(rows: str, sign: str) -> str:
    """What all of `rows` contribute: for a statement that only inserts, or only deletes."""
    later = ", ".join(f"({stage}, row.{stage.timestamp})" for stage in Stage if stage > 1)
    return f"""
        {WRITE}
        SELECT {WHO}, 1, 0, {hour("row.registered_at")} AS hour, {sign}count(*)
        FROM {rows} AS row GROUP BY wave, selected_wave, row.province, hour
        UNION ALL
        SELECT {WHO}, rung.stage, 0, {hour("rung.at")} AS hour, {sign}count(*)
        FROM {rows} AS row, LATERAL (VALUES {later}) AS rung (stage, at)
        WHERE row.stage > 1 AND rung.at IS NOT NULL
        GROUP BY wave, selected_wave, row.province, rung.stage, hour
        UNION ALL
        SELECT {WHO}, row.stage, row.drop_off, {hour("row.drop_off_at")} AS hour, {sign}count(*)
        FROM {rows} AS row WHERE row.drop_off <> 0
        GROUP BY wave, selected_wave, row.province, row.stage, row.drop_off, hour;
    """


def both(columns: list[str]) -> str:
    return ", ".join(f"was.{name} AS old_{name}, row.{name} AS new_{name}" for name in columns)


CHANGE = f"""
    {WRITE}
    WITH pair AS MATERIALIZED (
        SELECT *,
            {" + ".join(f"(old_{at} IS DISTINCT FROM new_{at})::int" for at in TIMES)} AS times,
            coalesce((old_wave_id, old_province) = (new_wave_id, new_province), false)
                AND old_selected_wave_id IS NOT DISTINCT FROM new_selected_wave_id AS same
        FROM (
            SELECT {both(["wave_id", "selected_wave_id", "province", "stage", "drop_off", "drop_off_at", *TIMES])}
            FROM old_rows AS was FULL JOIN new_rows AS row USING (id)
        ) AS versions
    ), entry AS (
        -- A plain climb: the one timestamp that has changed is that of the new rung.
        SELECT new_wave_id AS wave, new_selected_wave_id AS selected_wave, new_province AS province, new_stage AS stage,
               0 AS drop_off, CASE new_stage {" ".join(f"WHEN {stage} THEN new_{stage.timestamp}" for stage in Stage)} END AS at,
               1 AS people
        FROM pair WHERE same AND times = 1 AND new_stage = old_stage + 1
        UNION ALL
        SELECT version.wave, version.selected_wave, version.province, rung.stage, 0, rung.at, version.people
        FROM pair, LATERAL (VALUES
            (new_wave_id, new_selected_wave_id, new_province, 1), (old_wave_id, old_selected_wave_id, old_province, -1)
        ) AS version (wave, selected_wave, province, people), LATERAL (VALUES
            {", ".join(f"({stage}, CASE people WHEN 1 THEN new_{stage.timestamp} ELSE old_{stage.timestamp} END)" for stage in Stage)}
        ) AS rung (stage, at)
        WHERE (NOT same OR times > 0) AND NOT (same AND times = 1 AND new_stage = old_stage + 1) AND rung.at IS NOT NULL
        UNION ALL
        SELECT new_wave_id, new_selected_wave_id, new_province, new_stage, new_drop_off, new_drop_off_at, 1
        FROM pair WHERE new_drop_off <> 0
        UNION ALL
        -- A reason goes when the next one, or none, came or when the person climbed: until then history keeps it.
        SELECT old_wave_id, old_selected_wave_id, old_province, old_stage, old_drop_off,
               CASE WHEN new_stage IS NULL OR (new_stage, new_drop_off) = (old_stage, old_drop_off) THEN old_drop_off_at
                    ELSE greatest(old_drop_off_at, new_drop_off_at, CASE WHEN new_stage > old_stage THEN greatest(
                        {", ".join(f"new_{at}" for at in TIMES[1:])}
                    ) END)
               END, -1
        FROM pair WHERE old_drop_off <> 0
    )
    SELECT wave, coalesce(selected_wave, 0), province, stage, drop_off, {hour("at")} AS hour, sum(people)
    FROM entry GROUP BY wave, selected_wave, province, stage, drop_off, hour HAVING sum(people) <> 0;
"""


def function(event: str, body: str, old_body: str) -> migrations.RunSQL:
    def sql(text: str) -> str:
        return (
            f"CREATE OR REPLACE FUNCTION registrations_ledger_{event}() RETURNS trigger LANGUAGE plpgsql"
            f" AS $$ BEGIN {text} RETURN NULL; END $$;"
        )

    return migrations.RunSQL(sql(body), sql(old_body))


class Migration(migrations.Migration):
    dependencies = [("registrations", "0002_ledger")]

    operations = [
        function("insert", contribution("new_rows", "+"), before.contribution("new_rows", "+")),
        function("delete", contribution("old_rows", "-"), before.contribution("old_rows", "-")),
        function("update", CHANGE, before.CHANGE),
    ]
