"""Private networks of users, and how many each may have."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace

from createos_engine.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable
from createos_engine.network_words import Member, PrivateNetwork, Stage
from createos_engine.store.database import Database, Row
from createos_engine.store.rows import first_free, to_text, to_time
from createos_engine.words import Page, State

_COUNTED = f"""
    SELECT networks.*, (SELECT count(*) FROM memberships
        WHERE network_id = networks.id AND stage = '{Stage.MEMBER}') AS member_count FROM networks
"""


class NetworkStore:
    """The networks table."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def insert(self, draft: PrivateNetwork, *, most: int, capacity: int) -> PrivateNetwork:
        """Give *draft* the lowest free slot of 1..capacity and store it: the intent row.

        Raises Invalid (field name) for a name the user has already, Forbidden when he has *most* networks,
        Unavailable when no subnet is free.
        """

        def change(db: sqlite3.Connection) -> PrivateNetwork:
            mine = {row["name"] for row in db.execute("SELECT name FROM networks WHERE user_id = ?", (draft.user_id,))}
            if draft.name in mine:
                raise Invalid(f"you already have a network named {draft.name}", hint="choose another", field="name")
            if len(mine) >= most:
                raise Forbidden(
                    f"you have {len(mine)} networks, which is as many as an account may have",
                    hint="delete one, or raise networks_per_user",
                )
            slot = first_free((row["slot"] for row in db.execute("SELECT slot FROM networks")), capacity)
            if slot is None:
                raise Unavailable(f"all {capacity} subnets are in use", hint="delete networks, or set networks_v4")
            values = (draft.id, draft.user_id, draft.name, slot, to_text(draft.created_at))
            db.execute("INSERT INTO networks (id, user_id, name, slot, created_at) VALUES (?, ?, ?, ?, ?)", values)
            return replace(draft, slot=slot)

        return await self._db.write(change)

    def find(self, user_id: str, ref: str) -> PrivateNetwork:
        """Return the user's network of this id or name; else NotFound."""
        rows = self._db.read(f"{_COUNTED} WHERE user_id = ? AND (id = ? OR name = ?)", (user_id, ref, ref))
        if not rows:
            raise NotFound("network not found")
        return _network(rows[0])

    def members(self, network_id: str) -> tuple[Member, ...]:
        """Return who is on a network, in the order of joining; addresses are left out."""
        sql = """
            SELECT sandboxes.id, sandboxes.name, sandboxes.state FROM memberships
            JOIN sandboxes ON sandboxes.id = sandbox_id WHERE network_id = ? AND stage = ?
            ORDER BY memberships.created_at, number
        """
        return tuple(
            Member(row["id"], row["name"], State(row["state"]))
            for row in self._db.read(sql, (network_id, Stage.MEMBER))
        )

    def page(self, user_id: str, page: Page) -> tuple[list[PrivateNetwork], int]:
        """Return a window of the user's networks, newest first, and how many there are in all."""
        total = self._db.read("SELECT count(*) FROM networks WHERE user_id = ?", (user_id,))[0][0]
        sql = f"{_COUNTED} WHERE user_id = ? ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?"
        return [_network(row) for row in self._db.read(sql, (user_id, page.limit, page.offset))], total

    def slots(self) -> frozenset[int]:
        """Return the slots of everybody's networks."""
        return frozenset(row["slot"] for row in self._db.read("SELECT slot FROM networks"))

    async def delete(self, network: PrivateNetwork, *, in_use: Callable[[int], str]) -> None:
        """Delete the row; Conflict, with what *in_use* says of their number, while sandboxes hold on to the network."""

        def change(db: sqlite3.Connection) -> None:
            sql = "SELECT count(*) FROM memberships WHERE network_id = ?"
            if count := db.execute(sql, (network.id,)).fetchone()[0]:
                raise Conflict(in_use(count), hint="detach them first")
            db.execute("DELETE FROM networks WHERE id = ?", (network.id,))

        await self._db.write(change)


def _network(row: Row) -> PrivateNetwork:
    return PrivateNetwork(
        id=row["id"],
        user_id=row["user_id"],
        name=row["name"],
        slot=row["slot"],
        created_at=to_time(row["created_at"]),
        member_count=row["member_count"],
    )
