"""Checkpoints: named snapshots, and the sandboxes that were forked from them."""

from __future__ import annotations

from sqlite_utils import Database

from createos_engine.store.migrations.schema import schema

_STATEMENTS = (
    # source is the row of the sandbox as it was, in JSON: the sandbox may be gone.
    """
    CREATE TABLE checkpoints (
        id TEXT PRIMARY KEY,
        user_id TEXT NOT NULL REFERENCES users (id),
        name TEXT NOT NULL,
        source_id TEXT NOT NULL,
        source TEXT NOT NULL,
        parent TEXT NOT NULL DEFAULT '',
        complete INTEGER NOT NULL DEFAULT 0,
        created_at TEXT NOT NULL,
        UNIQUE (user_id, name)
    ) STRICT
    """,
    """
    CREATE TABLE checkpoint_forks (
        sandbox_id TEXT PRIMARY KEY,
        checkpoint_id TEXT NOT NULL
    ) STRICT
    """,
)


@schema()
def m008_checkpoints(db: Database) -> None:
    """Checkpoints and their forks."""
    for statement in _STATEMENTS:
        db.execute(statement)
