"""Templates: images of people's own Dockerfiles."""

from __future__ import annotations

from sqlite_utils import Database

from createos_engine.store.migrations.schema import schema

_STATEMENTS = (
    """
    CREATE TABLE templates (
        id TEXT PRIMARY KEY,
        user_id TEXT NOT NULL REFERENCES users (id),
        name TEXT NOT NULL,
        created_at TEXT NOT NULL,
        deleted_at TEXT
    ) STRICT
    """,
    """
    CREATE UNIQUE INDEX templates_name ON templates (user_id, name) WHERE deleted_at IS NULL
    """,
    # One row an attempt. result_key says what two builds with the same result have in common.
    """
    CREATE TABLE builds (
        template_id TEXT NOT NULL REFERENCES templates (id),
        attempt INTEGER NOT NULL,
        dockerfile TEXT NOT NULL,
        base TEXT NOT NULL,
        status TEXT NOT NULL,
        reason TEXT NOT NULL DEFAULT '',
        result_key TEXT NOT NULL,
        digest TEXT NOT NULL DEFAULT '',
        size_bytes INTEGER NOT NULL DEFAULT 0,
        created_at TEXT NOT NULL,
        finished_at TEXT,
        PRIMARY KEY (template_id, attempt)
    ) STRICT
    """,
    "CREATE INDEX builds_by_result ON builds (result_key) WHERE status = 'ready'",
)


@schema()
def m006_templates(db: Database) -> None:
    """Templates and every attempt to build them."""
    for statement in _STATEMENTS:
        db.execute(statement)
