"""Golden snapshots: what creates are forked from."""

from __future__ import annotations

from sqlite_utils import Database

from createos_engine.store.migrations.schema import schema


@schema()
def m007_goldens(db: Database) -> None:
    """One row each, from before the first file of it exists."""
    db.execute(
        """
        CREATE TABLE goldens (
            id TEXT PRIMARY KEY,
            key TEXT NOT NULL,
            state TEXT NOT NULL,
            rootfs TEXT NOT NULL,
            shape TEXT NOT NULL,
            vcpu INTEGER NOT NULL,
            mem_mib INTEGER NOT NULL,
            disk_mib INTEGER NOT NULL,
            base_digest TEXT NOT NULL,
            created_at TEXT NOT NULL,
            size_bytes INTEGER NOT NULL,
            pinned INTEGER NOT NULL,
            last_used_at TEXT,
            uses INTEGER NOT NULL
        ) STRICT
        """
    )
