"""Rows of golden snapshots."""

from __future__ import annotations

import sqlite3
from dataclasses import astuple, fields, replace
from datetime import datetime

from createos_engine.errors import NotFound
from createos_engine.golden_words import Golden, GoldenState
from createos_engine.store.database import Database, Row
from createos_engine.store.rows import optional_time, to_text, to_time

_COLUMNS = tuple(field.name for field in fields(Golden))
_INSERT = f"INSERT INTO goldens ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"


class GoldenStore:
    """The goldens table."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def all(self) -> list[Golden]:
        """Return every row, oldest first."""
        return [_golden(row) for row in self._db.read("SELECT * FROM goldens ORDER BY created_at, id")]

    async def insert(self, golden: Golden) -> None:
        """Store the intent to build one."""
        values = [to_text(value) if isinstance(value, datetime) else value for value in astuple(golden)]
        await self._db.write(lambda db: db.execute(_INSERT, values))

    async def ready(self, golden_id: str, size_bytes: int) -> None:
        """Let creates start from it."""
        await self._change(golden_id, "state = ?, size_bytes = ?", GoldenState.READY, size_bytes)

    async def used(self, golden_id: str, at: datetime) -> None:
        """Count a create that has started from it; one that is gone meanwhile is fine."""
        sql = "UPDATE goldens SET last_used_at = ?, uses = uses + 1 WHERE id = ?"
        await self._db.write(lambda db: db.execute(sql, (to_text(at), golden_id)))

    async def pin(self, golden_id: str, *, pinned: bool) -> Golden:
        """Keep one whatever the budget says, or no longer; NotFound when there is none."""
        await self._change(golden_id, "pinned = ?", int(pinned))
        return replace(next(golden for golden in self.all() if golden.id == golden_id), pinned=pinned)

    async def remove(self, golden_id: str) -> None:
        """Forget one; its files are gone."""
        await self._db.write(lambda db: db.execute("DELETE FROM goldens WHERE id = ?", (golden_id,)))

    async def _change(self, golden_id: str, assignments: str, *values: object) -> None:
        def change(db: sqlite3.Connection) -> None:
            if not db.execute(f"UPDATE goldens SET {assignments} WHERE id = ?", (*values, golden_id)).rowcount:
                raise NotFound(f"there is no golden snapshot {golden_id}", hint="createosd images lists them")

        await self._db.write(change)


def _golden(row: Row) -> Golden:
    columns = dict(row)
    return Golden(
        **columns
        | {
            "state": GoldenState(columns["state"]),
            "created_at": to_time(columns["created_at"]),
            "last_used_at": optional_time(columns["last_used_at"]),
            "pinned": bool(columns["pinned"]),
        }
    )
