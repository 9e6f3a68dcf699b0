"""Delegated access tokens and growing disks."""

from __future__ import annotations

from sqlite_utils import Database

from createos_engine.store.migrations.schema import schema

_STATEMENTS = (
    """
    CREATE TABLE access_tokens (
        sandbox_id TEXT PRIMARY KEY REFERENCES sandboxes (id) ON DELETE CASCADE,
        hash TEXT NOT NULL UNIQUE,
        hint TEXT NOT NULL,
        created_at TEXT NOT NULL,
        rotated_at TEXT
    ) STRICT
    """,
    # A disk that grows: here from the intent until guest and manifest know the size that the sandbox's row names.
    """
    CREATE TABLE resizes (
        sandbox_id TEXT PRIMARY KEY REFERENCES sandboxes (id) ON DELETE CASCADE,
        from_disk_mib INTEGER NOT NULL
    ) STRICT
    """,
    # Whoever ends a sandbox ends these with it, in the same transaction.
    """
    CREATE TRIGGER sandbox_ends AFTER UPDATE OF state ON sandboxes
    WHEN NEW.state IN ('destroying', 'destroyed', 'failed')
    BEGIN
        DELETE FROM access_tokens WHERE sandbox_id = NEW.id;
        DELETE FROM resizes WHERE sandbox_id = NEW.id;
    END
    """,
)


@schema()
def m002_people(db: Database) -> None:
    """What people and programs are given around a sandbox."""
    for statement in _STATEMENTS:
        db.execute(statement)
