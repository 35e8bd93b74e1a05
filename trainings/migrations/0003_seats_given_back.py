"""Who forgets all purchases (`simulate --reset`) gives the seats back that they took."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("trainings", "0002_money")]

    operations = [
        migrations.RunSQL(
            """
            CREATE FUNCTION trainings_purchase_truncate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                UPDATE trainings_training SET taken = 0 WHERE taken > 0;
                RETURN NULL;
            END $$;
            CREATE TRIGGER trainings_purchase_truncate AFTER TRUNCATE ON trainings_purchase
            FOR EACH STATEMENT EXECUTE FUNCTION trainings_purchase_truncate();
            """,
            "DROP TRIGGER trainings_purchase_truncate ON trainings_purchase; DROP FUNCTION trainings_purchase_truncate;",
        )
    ]
