"""S3 disks, and where sandboxes have them."""

from __future__ import annotations

from sqlite_utils import Database

from createos_engine.store.migrations.schema import schema

_STATEMENTS = (
    # sealed holds the keys of the bucket, which only services/vault.py can open.
    """
    CREATE TABLE disks (
        id TEXT PRIMARY KEY,
        user_id TEXT NOT NULL REFERENCES users (id),
        name TEXT NOT NULL,
        kind TEXT NOT NULL,
        endpoint TEXT NOT NULL,
        bucket TEXT NOT NULL,
        region TEXT NOT NULL,
        path_style INTEGER NOT NULL,
        sealed BLOB NOT NULL,
        created_at TEXT NOT NULL,
        UNIQUE (user_id, name)
    ) STRICT
    """,
    """
    CREATE TABLE attachments (
        id TEXT PRIMARY KEY,
        sandbox_id TEXT NOT NULL REFERENCES sandboxes (id) ON DELETE CASCADE,
        disk_id TEXT NOT NULL REFERENCES disks (id),
        mount_path TEXT NOT NULL,
        sub_path TEXT NOT NULL,
        status TEXT NOT NULL,
        error TEXT NOT NULL DEFAULT '',
        created_at TEXT NOT NULL,
        UNIQUE (sandbox_id, mount_path)
    ) STRICT
    """,
    "CREATE INDEX attachments_of_disk ON attachments (disk_id)",
    # A sandbox that has ended holds on to nothing: its disks can be deleted.
    """
    CREATE TRIGGER attachments_end AFTER UPDATE OF state ON sandboxes
    WHEN NEW.state IN ('destroyed', 'failed')
    BEGIN
        DELETE FROM attachments WHERE sandbox_id = NEW.id;
    END
    """,
)


@schema()
def m009_disks(db: Database) -> None:
    """Add S3 disks and their attachments."""
    for statement in _STATEMENTS:
        db.execute(statement)
