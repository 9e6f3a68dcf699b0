"""By which builder a template is built."""

from __future__ import annotations

from sqlite_utils import Database

from createos_engine.store.migrations.schema import schema


@schema()
def m010_builders(db: Database) -> None:
    """Add the builder of an attempt; empty is the engine's own choice."""
    db.execute("ALTER TABLE builds ADD COLUMN builder TEXT NOT NULL DEFAULT ''")
