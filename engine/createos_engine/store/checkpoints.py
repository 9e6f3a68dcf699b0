"""Rows of checkpoints. A row comes before its snapshot and is complete after it."""

from __future__ import annotations

import json
import sqlite3

from createos_engine.checkpoint_words import Checkpoint
from createos_engine.errors import Invalid, NotFound
from createos_engine.store.database import Database, Row
from createos_engine.store.rows import to_text, to_time
from createos_engine.store.sandboxes import from_columns, to_columns
from createos_engine.words import Page

_INSERT = """
    INSERT INTO checkpoints (id, user_id, name, source_id, source, parent, created_at) VALUES (?, ?, ?, ?, ?,
        coalesce(
            (SELECT id FROM checkpoints WHERE source_id = ?4 AND complete ORDER BY created_at DESC, id DESC LIMIT 1),
            (SELECT checkpoint_id FROM checkpoint_forks WHERE sandbox_id = ?4),
            ''), ?)
"""


class CheckpointStore:
    """The tables checkpoints and checkpoint_forks."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def insert(self, draft: Checkpoint) -> Checkpoint:
        """Store an incomplete checkpoint with its parent, the intent row; Invalid when its name is taken."""
        source = json.dumps(to_columns(draft.source))
        values = (draft.id, draft.user_id, draft.name, draft.source.id, source, to_text(draft.created_at))

        def change(db: sqlite3.Connection) -> Checkpoint:
            try:
                db.execute(_INSERT, values)
            except sqlite3.IntegrityError as exc:
                raise Invalid(
                    f"you already have a checkpoint named {draft.name}", hint="choose another name", field="name"
                ) from exc
            return _checkpoint(db.execute("SELECT * FROM checkpoints WHERE id = ?", (draft.id,)).fetchone())

        return await self._db.write(change)

    async def complete(self, checkpoint_id: str) -> Checkpoint:
        """Say that memory and disk are there."""

        def change(db: sqlite3.Connection) -> Checkpoint:
            db.execute("UPDATE checkpoints SET complete = 1 WHERE id = ?", (checkpoint_id,))
            return _checkpoint(db.execute("SELECT * FROM checkpoints WHERE id = ?", (checkpoint_id,)).fetchone())

        return await self._db.write(change)

    def find(self, user_id: str, ref: str) -> Checkpoint:
        """Return the user's checkpoint of this id or name; else NotFound."""
        rows = self._db.read(
            "SELECT * FROM checkpoints WHERE user_id = ? AND (id = ? OR name = ?) AND complete", (user_id, ref, ref)
        )
        if not rows:
            raise NotFound("checkpoint not found")
        return _checkpoint(rows[0])

    def page(self, user_id: str, page: Page) -> tuple[list[Checkpoint], int]:
        """Return a window of the user's checkpoints, newest first, and how many there are."""
        where = "FROM checkpoints WHERE user_id = ? AND complete"
        total = self._db.read(f"SELECT count(*) {where}", (user_id,))[0][0]
        sql = f"SELECT * {where} ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?"
        return [_checkpoint(row) for row in self._db.read(sql, (user_id, page.limit, page.offset))], total

    def ids(self, *, complete: bool) -> frozenset[str]:
        """Return the ids of all that are complete, or are not."""
        rows = self._db.read("SELECT id FROM checkpoints WHERE complete = ?", (int(complete),))
        return frozenset(row["id"] for row in rows)

    async def forked(self, checkpoint_id: str, sandbox_id: str) -> None:
        """Remember what a sandbox was forked from."""
        sql = "INSERT INTO checkpoint_forks (sandbox_id, checkpoint_id) VALUES (?, ?)"
        await self._db.write(lambda db: db.execute(sql, (sandbox_id, checkpoint_id)))

    async def delete(self, checkpoint_id: str) -> None:
        """Delete one; those after it follow the one before it then."""

        def change(db: sqlite3.Connection) -> None:
            db.execute(
                "UPDATE checkpoints SET parent = (SELECT parent FROM checkpoints WHERE id = ?1) WHERE parent = ?1",
                (checkpoint_id,),
            )
            db.execute("DELETE FROM checkpoint_forks WHERE checkpoint_id = ?", (checkpoint_id,))
            db.execute("DELETE FROM checkpoints WHERE id = ?", (checkpoint_id,))

        await self._db.write(change)


def _checkpoint(row: Row) -> Checkpoint:
    return Checkpoint(
        id=row["id"],
        user_id=row["user_id"],
        name=row["name"],
        source=from_columns(json.loads(row["source"])),
        created_at=to_time(row["created_at"]),
        parent=row["parent"],
        complete=bool(row["complete"]),
    )
