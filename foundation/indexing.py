"""Indexes on tables of millions, built while others read and write."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import ProjectState


class AddIndexBeside(AddIndexConcurrently):
    """Add an index without stopping anybody, in a migration with `atomic = False`; broken off, it can be run again."""

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        # It waits until those who write at this moment have ended, and nobody waits for it: no limit is needed, and one would
        # break it off.
        schema_editor.execute("SELECT set_config('migration.lock_timeout', current_setting('lock_timeout'), false)")
        schema_editor.execute("SET lock_timeout = 0")
        # What a try that was broken off has left is no index, but has its name.
        schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {schema_editor.quote_name(self.index.name)}")
        super().database_forwards(app_label, schema_editor, from_state, to_state)
        schema_editor.execute("SELECT set_config('lock_timeout', current_setting('migration.lock_timeout'), false)")
