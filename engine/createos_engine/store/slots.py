"""Slots: a number for each sandbox, and for each machine that stands by, from which its link and addresses follow."""

from __future__ import annotations

import sqlite3

from createos_engine.errors import Unavailable
from createos_engine.lifecycle import TERMINAL

_TERMINAL = tuple(sorted(TERMINAL))
_TAKEN = f"""
    SELECT slot FROM sandboxes WHERE state NOT IN ({", ".join("?" * len(_TERMINAL))})
    UNION SELECT slot FROM standbys
"""


def slots_in_use(db: sqlite3.Connection) -> frozenset[int]:
    """Return the slots that somebody owns, whether or not their links exist at the moment."""
    return frozenset(row[0] for row in db.execute(_TAKEN, _TERMINAL))


def free_slot(db: sqlite3.Connection, capacity: int) -> int:
    """Return the lowest free slot of 1..capacity; raise Unavailable when there is none."""
    taken = slots_in_use(db)
    for slot in range(1, capacity + 1):
        if slot not in taken:
            return slot
    raise Unavailable(f"all {capacity} addresses for sandboxes are in use", hint="remove sandboxes or set subnet_v4")


def inherit_slot(db: sqlite3.Connection, sandbox_id: str) -> int | None:
    """Take the slot of a machine that stands by under this id, which does so no longer; None when none does."""
    found = db.execute("DELETE FROM standbys WHERE id = ? AND ready RETURNING slot", (sandbox_id,)).fetchall()
    return found[0][0] if found else None
