"""Private networks and who is on them."""

from __future__ import annotations

from sqlite_utils import Database

from createos_engine.store.migrations.schema import schema

_TABLES = (
    """
    CREATE TABLE networks (
        id TEXT PRIMARY KEY,
        user_id TEXT NOT NULL REFERENCES users (id),
        name TEXT NOT NULL,
        slot INTEGER NOT NULL UNIQUE,
        created_at TEXT NOT NULL,
        UNIQUE (user_id, name)
    ) STRICT
    """,
    """
    CREATE TABLE memberships (
        network_id TEXT NOT NULL REFERENCES networks (id),
        sandbox_id TEXT NOT NULL REFERENCES sandboxes (id) ON DELETE CASCADE,
        slot INTEGER NOT NULL UNIQUE,
        number INTEGER NOT NULL,
        stage TEXT NOT NULL,
        created_at TEXT NOT NULL,
        PRIMARY KEY (network_id, sandbox_id),
        UNIQUE (network_id, number)
    ) STRICT
    """,
    "CREATE INDEX memberships_of_sandbox ON memberships (sandbox_id)",
    # A sandbox that has ended owns nothing on the host any more: its ports and addresses are free.
    """
    CREATE TRIGGER memberships_end AFTER UPDATE OF state ON sandboxes
    WHEN NEW.state IN ('destroyed', 'failed')
    BEGIN
        DELETE FROM memberships WHERE sandbox_id = NEW.id;
    END
    """,
)


@schema()
def m005_networks(db: Database) -> None:
    """Add private networks and memberships."""
    for statement in _TABLES:
        db.execute(statement)
