"""Indexes that are built while others write."""

import pytest
from django.apps import apps
from django.db import connection, models
from django.db.migrations.state import ProjectState

from foundation.indexing import AddIndexBeside

NAME = "work_by_token"


def told(sql, *values):
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchone()


@pytest.mark.django_db(transaction=True)
def test_what_a_broken_off_try_has_left_is_built_anew_and_the_limit_for_locks_stays_as_it_was():
    operation = AddIndexBeside("work", models.Index(fields=["token"], name=NAME))
    before = ProjectState.from_apps(apps)
    after = before.clone()
    operation.state_forwards("foundation", after)
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE INDEX {NAME} ON foundation_work (queue)")
        cursor.execute("SET lock_timeout = '7s'")

    try:
        with connection.schema_editor(atomic=False) as editor:
            operation.database_forwards("foundation", editor, before, after)
        assert told("SHOW lock_timeout") == ("7s",)
        assert "(token)" in told("SELECT indexdef FROM pg_indexes WHERE indexname = %s", NAME)[0]
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET lock_timeout")
        with connection.schema_editor(atomic=False) as editor:
            operation.database_backwards("foundation", editor, after, before)
    assert told("SELECT count(*) FROM pg_indexes WHERE indexname = %s", NAME) == (0,)
