"""A decree that was issued stands, and so does its list, whoever writes to the tables.

Of a decree only that is entered later which is not signed: the end of the days to buy, and that it has passed. The list of one
that was issued grows no more, either. All of them are forgotten together, by a transaction that says so
(`SET LOCAL prakerja.forgetting = 'on'`): a simulation begins anew so.
"""

from django.db import migrations

REFUSE = """
CREATE FUNCTION waves_decree_stands() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF TG_OP = 'TRUNCATE' AND current_setting('prakerja.forgetting', true) = 'on' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'a decree that was issued stands: % of % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE FUNCTION waves_decreeblock_comes_before() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF EXISTS (SELECT FROM waves_decree WHERE id = NEW.decree_id) THEN
        RAISE EXCEPTION 'a decree that was issued stands: its list grows no more' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER decree_stands BEFORE UPDATE ON waves_decree FOR EACH ROW
    WHEN (to_jsonb(OLD.*) - '{buy_by,lapsed_at}'::text[] IS DISTINCT FROM to_jsonb(NEW.*) - '{buy_by,lapsed_at}'::text[])
    EXECUTE FUNCTION waves_decree_stands();
CREATE TRIGGER decree_is_kept BEFORE DELETE OR TRUNCATE ON waves_decree
    FOR EACH STATEMENT EXECUTE FUNCTION waves_decree_stands();
CREATE TRIGGER list_is_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON waves_decreeblock
    FOR EACH STATEMENT EXECUTE FUNCTION waves_decree_stands();
CREATE TRIGGER list_comes_before BEFORE INSERT ON waves_decreeblock
    FOR EACH ROW EXECUTE FUNCTION waves_decreeblock_comes_before();
"""

ALLOW = """
DROP TRIGGER list_comes_before ON waves_decreeblock;
DROP TRIGGER list_is_kept ON waves_decreeblock;
DROP TRIGGER decree_is_kept ON waves_decree;
DROP TRIGGER decree_stands ON waves_decree;
DROP FUNCTION waves_decreeblock_comes_before();
DROP FUNCTION waves_decree_stands();
"""


class Migration(migrations.Migration):
    dependencies = [("waves", "0003_lists_that_decided")]

    operations = [migrations.RunSQL(REFUSE, ALLOW)]
