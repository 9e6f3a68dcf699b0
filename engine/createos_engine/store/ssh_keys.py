"""The public keys of sandboxes, and which sandboxes a login name may mean."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable

from createos_engine.errors import NotFound
from createos_engine.lifecycle import TERMINAL
from createos_engine.store.database import Database

_TERMINAL = tuple(sorted(TERMINAL))
_IN_TERMINAL = f"({', '.join('?' * len(_TERMINAL))})"


class SshKeyStore:
    """The column `ssh_pubkeys` of the sandboxes table."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def by_login(self, login: str) -> dict[str, tuple[str, ...]]:
        """Return the keys of everybody's live sandboxes of this id or name, by sandbox id, oldest first."""
        sql = (
            "SELECT id, ssh_pubkeys FROM sandboxes WHERE (id = ? OR name = ?) "
            f"AND state NOT IN {_IN_TERMINAL} ORDER BY created_at, id"
        )
        rows = self._db.read(sql, (login, login, *_TERMINAL))
        return {row["id"]: tuple(json.loads(row["ssh_pubkeys"])) for row in rows}

    async def change(
        self, sandbox_id: str, change: Callable[[tuple[str, ...]], tuple[str, ...]]
    ) -> tuple[tuple[str, ...], bool]:
        """Replace the keys by what *change* makes of them; return the new ones, and whether they are other ones.

        Whatever *change* raises leaves them as they were. NotFound when there is no such sandbox.
        """

        def step(db: sqlite3.Connection) -> tuple[tuple[str, ...], bool]:
            row = db.execute("SELECT ssh_pubkeys FROM sandboxes WHERE id = ?", (sandbox_id,)).fetchone()
            if row is None:
                raise NotFound("sandbox not found")
            before = tuple(json.loads(row[0]))
            after = change(before)
            if after != before:
                db.execute("UPDATE sandboxes SET ssh_pubkeys = ? WHERE id = ?", (json.dumps(after), sandbox_id))
            return after, after != before

        return await self._db.write(step)
