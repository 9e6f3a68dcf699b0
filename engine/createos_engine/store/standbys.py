"""Rows of machines that stand by. They share ids and slots with sandboxes: a create turns one row into the other."""

from __future__ import annotations

import sqlite3
from dataclasses import astuple, fields, replace
from datetime import datetime

from createos_engine.standby_words import Standby
from createos_engine.store.database import Database, Row
from createos_engine.store.rows import to_text, to_time
from createos_engine.store.slots import free_slot

_COLUMNS = tuple(field.name for field in fields(Standby))
_INSERT = f"INSERT INTO standbys ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"


class StandbyStore:
    """The standbys table."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def all(self) -> list[Standby]:
        """Return every row, oldest first."""
        return [_standby(row) for row in self._db.read("SELECT * FROM standbys ORDER BY created_at, id")]

    async def insert(self, standby: Standby, *, capacity: int) -> Standby:
        """Give it the lowest free slot and store it: the intent row. Unavailable when no slot is free."""

        def change(db: sqlite3.Connection) -> Standby:
            row = replace(standby, slot=free_slot(db, capacity))
            values = [to_text(value) if isinstance(value, datetime) else value for value in astuple(row)]
            db.execute(_INSERT, values)
            return row

        return await self._db.write(change)

    async def ready(self, standby_id: str) -> None:
        """Let a create have it."""
        await self._db.write(lambda db: db.execute("UPDATE standbys SET ready = 1 WHERE id = ?", (standby_id,)))

    async def remove(self, standby_id: str) -> None:
        """Forget one; its machine is gone."""
        await self._db.write(lambda db: db.execute("DELETE FROM standbys WHERE id = ?", (standby_id,)))


def _standby(row: Row) -> Standby:
    columns = dict(row)
    return Standby(**columns | {"created_at": to_time(columns["created_at"]), "ready": bool(columns["ready"])})
