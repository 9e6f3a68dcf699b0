"""Pause, resume and fork: what a row says about the snapshot of its sandbox."""

from __future__ import annotations

from sqlite_utils import Database

from createos_engine.store.migrations.schema import schema

_COLUMNS = (
    "paused_at TEXT",
    "last_resumed_at TEXT",
    "forked_from TEXT NOT NULL DEFAULT ''",
    "auto_paused INTEGER NOT NULL DEFAULT 0",
    "has_memory INTEGER NOT NULL DEFAULT 0",
    "receipt TEXT NOT NULL DEFAULT '{}'",
)


@schema()
def m003_snapshots(db: Database) -> None:
    """Columns of snapshots."""
    for column in _COLUMNS:
        db.execute(f"ALTER TABLE sandboxes ADD COLUMN {column}")
