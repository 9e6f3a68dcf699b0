"""Disks that grow: the row names the new size from the intent on; an entry here says that the host is not done yet."""

from __future__ import annotations

import sqlite3

from createos_engine.errors import Invalid, NotFound
from createos_engine.lifecycle import require_running
from createos_engine.store.database import Database
from createos_engine.words import State


class ResizeStore:
    """The resizes table, and disk_mib of sandboxes."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def begin(self, sandbox_id: str, disk_mib: int) -> None:
        """Write down the intent; Conflict unless the sandbox runs, Invalid unless its disk becomes larger."""

        def change(db: sqlite3.Connection) -> None:
            row = db.execute("SELECT state, disk_mib FROM sandboxes WHERE id = ?", (sandbox_id,)).fetchone()
            if row is None:
                raise NotFound("sandbox not found")
            require_running(State(row["state"]))
            if disk_mib <= row["disk_mib"]:
                raise Invalid(
                    f"the disk has {row['disk_mib']} MiB and can only grow", hint="ask for more", field="disk_mib"
                )
            db.execute(
                "INSERT INTO resizes (sandbox_id, from_disk_mib) VALUES (?, ?) ON CONFLICT (sandbox_id) DO NOTHING",
                (sandbox_id, row["disk_mib"]),
            )
            db.execute("UPDATE sandboxes SET disk_mib = ? WHERE id = ?", (disk_mib, sandbox_id))

        await self._db.write(change)

    async def undo(self, sandbox_id: str) -> None:
        """Give the row its size of before; nothing on the host has changed."""

        def change(db: sqlite3.Connection) -> None:
            db.execute(
                "UPDATE sandboxes SET disk_mib = resizes.from_disk_mib FROM resizes "
                "WHERE resizes.sandbox_id = sandboxes.id AND sandboxes.id = ?",
                (sandbox_id,),
            )
            db.execute("DELETE FROM resizes WHERE sandbox_id = ?", (sandbox_id,))

        await self._db.write(change)

    async def done(self, sandbox_id: str) -> None:
        """The host has the size of the row."""
        await self._db.write(lambda db: db.execute("DELETE FROM resizes WHERE sandbox_id = ?", (sandbox_id,)))

    def is_pending(self, sandbox_id: str) -> bool:
        """Tell whether the host is not known to have the row's size."""
        return bool(self._db.read("SELECT 1 FROM resizes WHERE sandbox_id = ?", (sandbox_id,)))

    def pending(self) -> list[str]:
        """Return the ids of all sandboxes whose disk was to grow and may not have."""
        return [row[0] for row in self._db.read("SELECT sandbox_id FROM resizes ORDER BY sandbox_id")]
