"""Bytes that sandboxes have sent and got: totals that outlive the counters of the kernel."""

from __future__ import annotations

import sqlite3

from createos_engine.store.database import Database
from createos_engine.traffic import UNMETERED, Bandwidth


class BandwidthStore:
    """The bandwidth table. `quota_bytes` is what a sandbox begins with, -1 for as much as it likes."""

    def __init__(self, database: Database, *, quota_bytes: int) -> None:
        self._db = database
        self.quota_bytes = quota_bytes

    def get(self, sandbox_id: str) -> Bandwidth:
        """Return the totals of a sandbox; one that has had no link yet has used nothing."""
        rows = self._db.read("SELECT * FROM bandwidth WHERE sandbox_id = ?", (sandbox_id,))
        if not rows:
            return Bandwidth(sandbox_id, self.quota_bytes, 0, 0)
        row = rows[0]
        return Bandwidth(sandbox_id, row["quota_bytes"], row["used_bytes"], row["ingress_bytes"])

    async def add(self, sandbox_id: str, sent: int, got: int) -> None:
        """Add what the counters have counted since they were last seen; smaller ones have begun anew."""
        await self._db.write(lambda db: self._add(db, sandbox_id, sent, got))

    async def begin(self, sandbox_id: str) -> None:
        """The counters begin at nothing."""

        def change(db: sqlite3.Connection) -> None:
            self._ensure(db, sandbox_id)
            db.execute("UPDATE bandwidth SET sent_seen = 0, got_seen = 0 WHERE sandbox_id = ?", (sandbox_id,))

        await self._db.write(change)

    async def recharge(self, sandbox_id: str, add_bytes: int) -> None:
        """Raise the quota of a sandbox that has one."""

        def change(db: sqlite3.Connection) -> None:
            self._ensure(db, sandbox_id)
            db.execute(
                "UPDATE bandwidth SET quota_bytes = quota_bytes + ? WHERE sandbox_id = ? AND quota_bytes <> ?",
                (add_bytes, sandbox_id, UNMETERED),
            )

        await self._db.write(change)

    def _add(self, db: sqlite3.Connection, sandbox_id: str, sent: int, got: int) -> None:
        self._ensure(db, sandbox_id)
        db.execute(
            """
            UPDATE bandwidth SET
                used_bytes = used_bytes + CASE WHEN :sent >= sent_seen THEN :sent - sent_seen ELSE :sent END,
                ingress_bytes = ingress_bytes + CASE WHEN :got >= got_seen THEN :got - got_seen ELSE :got END,
                sent_seen = :sent, got_seen = :got
            WHERE sandbox_id = :id
            """,
            {"sent": sent, "got": got, "id": sandbox_id},
        )

    def _ensure(self, db: sqlite3.Connection, sandbox_id: str) -> None:
        db.execute(
            "INSERT INTO bandwidth (sandbox_id, quota_bytes) VALUES (?, ?) ON CONFLICT (sandbox_id) DO NOTHING",
            (sandbox_id, self.quota_bytes),
        )
