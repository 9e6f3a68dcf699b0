"""The egress rules in the rows of sandboxes."""

from __future__ import annotations

import json
import sqlite3

from createos_engine.errors import NotFound
from createos_engine.lifecycle import TERMINAL, require_alive
from createos_engine.store.database import Database
from createos_engine.words import State

_TERMINAL = tuple(sorted(TERMINAL))
_LIVE = f"state NOT IN ({', '.join('?' * len(_TERMINAL))})"


class EgressStore:
    """The egress column."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def of_slot(self, slot: int) -> tuple[str, tuple[str, ...]]:
        """Return id and rules of the live sandbox that has a slot; NotFound when none has."""
        rows = self._db.read(f"SELECT id, egress FROM sandboxes WHERE slot = ? AND {_LIVE}", (slot, *_TERMINAL))
        if not rows:
            raise NotFound(f"no sandbox has slot {slot}")
        return rows[0]["id"], tuple(json.loads(rows[0]["egress"]))

    async def replace(self, sandbox_id: str, rules: tuple[str, ...]) -> None:
        """Give a row other rules; Conflict when the sandbox has ended or is about to."""

        def change(db: sqlite3.Connection) -> None:
            row = db.execute("SELECT state FROM sandboxes WHERE id = ?", (sandbox_id,)).fetchone()
            if row is None:
                raise NotFound("sandbox not found")
            require_alive(State(row["state"]))
            db.execute("UPDATE sandboxes SET egress = ? WHERE id = ?", (json.dumps(rules), sandbox_id))

        await self._db.write(change)
