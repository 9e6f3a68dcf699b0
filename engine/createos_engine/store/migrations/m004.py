"""Bandwidth: what sandboxes have sent and got, across machines and reboots."""

from __future__ import annotations

from sqlite_utils import Database

from createos_engine.store.migrations.schema import schema


@schema()
def m004_bandwidth(db: Database) -> None:
    """Totals; the last two columns are what the kernel's counters said when they were last added."""
    db.execute(
        """
        CREATE TABLE bandwidth (
            sandbox_id TEXT PRIMARY KEY REFERENCES sandboxes (id) ON DELETE CASCADE,
            quota_bytes INTEGER NOT NULL,
            used_bytes INTEGER NOT NULL DEFAULT 0,
            ingress_bytes INTEGER NOT NULL DEFAULT 0,
            sent_seen INTEGER NOT NULL DEFAULT 0,
            got_seen INTEGER NOT NULL DEFAULT 0
        ) STRICT
        """
    )
