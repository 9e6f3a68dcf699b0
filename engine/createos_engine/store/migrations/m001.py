"""The beginning."""

from __future__ import annotations

from sqlite_utils import Database

from createos_engine.store.migrations.schema import schema

_TABLES = (
    """
    CREATE TABLE users (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        uid INTEGER UNIQUE,
        created_at TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE tokens (
        hash TEXT PRIMARY KEY,
        user_id TEXT NOT NULL REFERENCES users (id),
        label TEXT NOT NULL,
        created_at TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE sandboxes (
        id TEXT PRIMARY KEY,
        user_id TEXT NOT NULL REFERENCES users (id),
        name TEXT NOT NULL,
        state TEXT NOT NULL,
        shape TEXT NOT NULL,
        rootfs TEXT NOT NULL,
        vcpu INTEGER NOT NULL,
        mem_mib INTEGER NOT NULL,
        disk_mib INTEGER NOT NULL,
        base_digest TEXT NOT NULL,
        image TEXT NOT NULL,
        slot INTEGER NOT NULL,
        ip TEXT NOT NULL,
        envs TEXT NOT NULL,
        ssh_pubkeys TEXT NOT NULL,
        egress TEXT NOT NULL,
        ingress_enabled INTEGER NOT NULL,
        auto_pause_after_seconds INTEGER,
        created_at TEXT NOT NULL,
        created_by TEXT NOT NULL,
        running_at TEXT,
        destroyed_at TEXT,
        spawn_ms REAL,
        reason TEXT NOT NULL DEFAULT ''
    ) STRICT
    """,
    # A name is free again once its sandbox is terminal; a slot as soon as no host object can carry it any more.
    """
    CREATE UNIQUE INDEX sandboxes_name ON sandboxes (user_id, name)
    WHERE state NOT IN ('destroyed', 'failed')
    """,
    """
    CREATE UNIQUE INDEX sandboxes_slot ON sandboxes (slot)
    WHERE state NOT IN ('destroyed', 'failed')
    """,
    "CREATE INDEX sandboxes_of_user ON sandboxes (user_id, created_at DESC, id DESC)",
)


@schema()
def m001_first_light(db: Database) -> None:
    """Users, their tokens, and sandboxes."""
    for statement in _TABLES:
        db.execute(statement)
