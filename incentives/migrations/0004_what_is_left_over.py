"""What was given back here, and was not, counts as paid again; and a question about an account knows which one it was.

The functions of `0002_books` are replaced: no lock on the tables, and no row is read.
"""

from importlib import import_module

from django.db import migrations, models

before = import_module("incentives.migrations.0002_books")

GIVEN_BACK_IN_ERROR = [(5, 4)]


def wider(table: str, body: str, moves: list[tuple[int, int]], declare: str = "") -> migrations.RunSQL:
    """The trigger on an update of this table, which lets what was given back in error be paid."""

    def sql(text: str) -> str:
        return (
            f"CREATE OR REPLACE FUNCTION {table}_update() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off"
            f" AS $$ {declare} BEGIN {text} RETURN NULL; END $$;"
        )

    wide = body.replace(before.pairs(moves), before.pairs([*moves, *GIVEN_BACK_IN_ERROR]))
    return migrations.RunSQL(sql(wide), sql(body))


class Migration(migrations.Migration):
    dependencies = [("incentives", "0003_surveyanswer")]

    operations = [
        wider(before.OBLIGATION, before.UPDATE, before.MOVES, before.PERSONS),
        wider(before.PAYOUT, before.PAYOUT_UPDATE, before.PAYOUT_MOVES),
        migrations.AddField("account", "revision", models.PositiveSmallIntegerField(db_default=0)),
        migrations.AddIndex(
            "leftover",
            models.Index("obligation_id", name="leftovers_that_are_open", condition=models.Q(("settled_at", None))),
        ),
        migrations.AlterField(
            "leftover",
            "kind",
            models.CharField(
                choices=[
                    ("amount", "Another amount than ours"),
                    ("never_sent", "Paid there, never sent by us"),
                    ("failed_here", "Paid there, failed here"),
                    ("paid_here", "Failed there, paid here"),
                    ("twice", "Told twice"),
                    ("missing", "Paid here, in no file of theirs"),
                    ("given_back", "Paid there, given back here"),
                ],
                max_length=12,
            ),
        ),
    ]
