"""Who is on which private network: the truth from which cards, ports and rules are made."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime

from createos_engine.errors import Conflict, NotFound
from createos_engine.network_words import Membership, Stage
from createos_engine.store.database import Database, Row
from createos_engine.store.rows import first_free, to_text

_SELECT = """
    SELECT memberships.*, networks.slot AS network_slot FROM memberships JOIN networks ON networks.id = network_id
"""


class MembershipStore:
    """The memberships table. Rows of a sandbox go when it ends."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def join(
        self, network_id: str, sandbox_id: str, *, stage: Stage, most: int, ports: int, numbers: int
    ) -> Membership:
        """Store the intent row with the lowest free port and address, or return the row there is.

        Raises NotFound when the network is gone, Conflict when network or sandbox can take no more.
        """

        def change(db: sqlite3.Connection) -> Membership:
            if known := _row(db, network_id, sandbox_id):
                return _membership(known)
            if not db.execute("SELECT 1 FROM networks WHERE id = ?", (network_id,)).fetchone():
                raise NotFound("network not found")
            taken = db.execute("SELECT count(*) FROM memberships WHERE sandbox_id = ?", (sandbox_id,)).fetchone()[0]
            number = first_free(_numbers(db, "number", network_id), numbers)
            slot = first_free(_numbers(db, "slot", None), ports)
            if taken >= most:
                raise Conflict(f"a sandbox can be on {most} networks at a time", hint="detach it from one first")
            if number is None or slot is None:
                raise Conflict(f"the network has no free address: it has room for {numbers} members")
            values = (network_id, sandbox_id, slot, number, stage, to_text(datetime.now(UTC)))
            db.execute("INSERT INTO memberships VALUES (?, ?, ?, ?, ?, ?)", values)
            made = _row(db, network_id, sandbox_id)
            assert made is not None
            return _membership(made)

        return await self._db.write(change)

    async def stage(self, row: Membership, stage: Stage) -> None:
        """Write down how far a membership is."""
        sql = "UPDATE memberships SET stage = ? WHERE network_id = ? AND sandbox_id = ?"
        await self._db.write(lambda db: db.execute(sql, (stage, row.network_id, row.sandbox_id)))

    async def leave(self, row: Membership) -> None:
        """Delete a row whose host objects are gone."""
        sql = "DELETE FROM memberships WHERE network_id = ? AND sandbox_id = ?"
        await self._db.write(lambda db: db.execute(sql, (row.network_id, row.sandbox_id)))

    def find(self, network_id: str, sandbox_id: str) -> Membership | None:
        """Return a sandbox's row on a network, whatever its stage."""
        rows = self._db.read(f"{_SELECT} WHERE network_id = ? AND sandbox_id = ?", (network_id, sandbox_id))
        return _membership(rows[0]) if rows else None

    def of_sandbox(self, sandbox_id: str) -> list[Membership]:
        """Return all rows of a sandbox, whatever their stage."""
        return [_membership(row) for row in self._db.read(f"{_SELECT} WHERE sandbox_id = ?", (sandbox_id,))]

    def of_network(self, network_id: str) -> list[Membership]:
        """Return all rows of a network, whatever their stage."""
        return [_membership(row) for row in self._db.read(f"{_SELECT} WHERE network_id = ?", (network_id,))]

    def all(self) -> list[Membership]:
        """Return every row, whatever its stage."""
        return [_membership(row) for row in self._db.read(_SELECT)]

    def peers(self, slot: int, name: str) -> list[tuple[Membership, str]]:
        """Return the members called *name* (a sandbox's name or id) of the networks that a sandbox is on.

        The sandbox is the live one with this slot of the taps; beside each row is its network's name.
        """
        sql = """
            SELECT theirs.*, networks.slot AS network_slot, networks.name AS network_name
            FROM sandboxes AS me JOIN memberships AS mine ON mine.sandbox_id = me.id AND mine.stage = 'member'
            JOIN networks ON networks.id = mine.network_id
            JOIN memberships AS theirs ON theirs.network_id = mine.network_id AND theirs.stage = 'member'
            JOIN sandboxes AS peer ON peer.id = theirs.sandbox_id
            WHERE me.slot = ? AND me.state NOT IN ('destroyed', 'failed') AND (peer.name = ? OR peer.id = ?)
        """
        return [(_membership(row), row["network_name"]) for row in self._db.read(sql, (slot, name, name))]


def _numbers(db: sqlite3.Connection, column: str, network_id: str | None) -> list[int]:
    where, values = ("WHERE network_id = ?", (network_id,)) if network_id else ("", ())
    return [row[0] for row in db.execute(f"SELECT {column} FROM memberships {where}", values)]


def _row(db: sqlite3.Connection, network_id: str, sandbox_id: str) -> Row | None:
    found: Row | None = db.execute(
        f"{_SELECT} WHERE network_id = ? AND sandbox_id = ?", (network_id, sandbox_id)
    ).fetchone()
    return found


def _membership(row: Row) -> Membership:
    return Membership(
        network_id=row["network_id"],
        network_slot=row["network_slot"],
        sandbox_id=row["sandbox_id"],
        slot=row["slot"],
        number=row["number"],
        stage=Stage(row["stage"]),
    )
