"""Machines that stand by for the next create."""

from __future__ import annotations

from sqlite_utils import Database

from createos_engine.store.migrations.schema import schema


@schema()
def m011_standbys(db: Database) -> None:
    """Make the table; an id is that of the sandbox that it will be."""
    db.execute(
        """
        CREATE TABLE standbys (
            id TEXT PRIMARY KEY,
            golden_id TEXT NOT NULL,
            key TEXT NOT NULL,
            disk_mib INTEGER NOT NULL,
            created_at TEXT NOT NULL,
            slot INTEGER NOT NULL UNIQUE,
            ready INTEGER NOT NULL DEFAULT 0
        ) STRICT
        """
    )
