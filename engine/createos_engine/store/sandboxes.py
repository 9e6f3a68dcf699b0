"""Rows of sandboxes. States are compared and set in one statement, so that two changes cannot both win."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from typing import Any

from createos_engine.errors import Invalid, NotFound
from createos_engine.lifecycle import TERMINAL, move, require_alive
from createos_engine.store.database import Database, Row
from createos_engine.store.rows import optional_time, to_text, to_time
from createos_engine.store.slots import free_slot, inherit_slot, slots_in_use
from createos_engine.words import Counts, ImageConfig, Page, Sandbox, SandboxChanges, State

_COLUMNS = tuple(field.name for field in fields(Sandbox))
_INSERT = f"INSERT INTO sandboxes ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
_TERMINAL = tuple(sorted(TERMINAL))
_IN_TERMINAL = f"({', '.join('?' * len(_TERMINAL))})"


@dataclass(frozen=True)
class StateChange:
    """What a move to another state writes besides the state; None leaves a column alone."""

    reason: str | None = None
    running_at: datetime | None = None
    destroyed_at: datetime | None = None
    spawn_ms: float | None = None
    paused_at: datetime | None = None
    last_resumed_at: datetime | None = None
    auto_paused: bool | None = None
    has_memory: bool | None = None
    receipt: dict[str, str] | None = None


class SandboxStore:
    """The sandboxes table."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def insert(self, draft: Sandbox, *, capacity: int, address: Callable[[int], str]) -> Sandbox:
        """Give *draft* the lowest free slot of 1..capacity and its address, and store it: the intent row.

        A machine that stands by under its id is its own from now on, and with it the slot.
        Raises Invalid (field name) when the user has a live sandbox of that name, Unavailable when no slot is free.
        """

        def change(db: sqlite3.Connection) -> Sandbox:
            slot = inherit_slot(db, draft.id) or free_slot(db, capacity)
            row = replace(draft, slot=slot, ip=address(slot))
            try:
                db.execute(_INSERT, tuple(to_columns(row).values()))
            except sqlite3.IntegrityError as exc:
                raise _duplicate(draft.name) from exc
            return row

        return await self._db.write(change)

    def name_taken(self, user_id: str, name: str) -> bool:
        """Tell whether a live sandbox of the user has this name."""
        sql = f"SELECT 1 FROM sandboxes WHERE user_id = ? AND name = ? AND state NOT IN {_IN_TERMINAL}"
        return bool(self._db.read(sql, (user_id, name, *_TERMINAL)))

    def get(self, sandbox_id: str) -> Sandbox:
        """Return one row; NotFound when there is none."""
        rows = self._db.read("SELECT * FROM sandboxes WHERE id = ?", (sandbox_id,))
        if not rows:
            raise NotFound("sandbox not found")
        return _sandbox(rows[0])

    def state(self, sandbox_id: str) -> State | None:
        """Return the state of a row, None when there is no such row."""
        rows = self._db.read("SELECT state FROM sandboxes WHERE id = ?", (sandbox_id,))
        return State(rows[0][0]) if rows else None

    def slots_in_use(self) -> frozenset[int]:
        """Return the slots that somebody owns, whether or not their links exist at the moment."""
        return self._db.look(slots_in_use)

    def find(self, user_id: str, ref: str) -> Sandbox:
        """Return the user's sandbox of this id, else the live (else the newest) one of this name; else NotFound."""
        rows = self._db.read(
            "SELECT * FROM sandboxes WHERE user_id = ? AND (id = ? OR name = ?) ORDER BY created_at DESC, id DESC",
            (user_id, ref, ref),
        )
        found = [_sandbox(row) for row in rows]
        chosen = [row for row in found if row.id == ref] or [row for row in found if row.state not in TERMINAL] or found
        if not chosen:
            raise NotFound("sandbox not found")
        return chosen[0]

    def by_ip(self, user_id: str, ip: str) -> Sandbox:
        """Return the user's live sandbox with this address; else NotFound."""
        sql = f"SELECT * FROM sandboxes WHERE user_id = ? AND ip = ? AND state NOT IN {_IN_TERMINAL}"
        rows = self._db.read(sql, (user_id, ip, *_TERMINAL))
        if not rows:
            raise NotFound("sandbox not found")
        return _sandbox(rows[0])

    def page(self, user_id: str, page: Page, state: State | None) -> tuple[list[Sandbox], int]:
        """Return a window of the user's sandboxes, newest first, and how many match in all."""
        where, parameters = "user_id = ?", [user_id]
        if state:
            where, parameters = f"{where} AND state = ?", [user_id, state]
        total = self._db.read(f"SELECT count(*) FROM sandboxes WHERE {where}", parameters)[0][0]
        sql = f"SELECT * FROM sandboxes WHERE {where} ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?"
        return [_sandbox(row) for row in self._db.read(sql, (*parameters, page.limit, page.offset))], total

    def in_states(self, states: Iterable[State]) -> list[Sandbox]:
        """Return everybody's sandboxes in any of *states*, oldest first."""
        wanted = tuple(states)
        marks = ", ".join("?" * len(wanted))
        sql = f"SELECT * FROM sandboxes WHERE state IN ({marks}) ORDER BY created_at, id"
        return [_sandbox(row) for row in self._db.read(sql, wanted)]

    def counts(self, user_id: str) -> Counts:
        """Count the user's non-destroyed sandboxes by state."""
        rows = self._db.read("SELECT state, count(*) FROM sandboxes WHERE user_id = ? GROUP BY state", (user_id,))
        by_state = {State(state): number for state, number in rows}
        by_state.pop(State.DESTROYED, None)
        running, paused = by_state.pop(State.RUNNING, 0), by_state.pop(State.PAUSED, 0)
        return Counts(running=running, paused=paused, other=sum(by_state.values()))

    async def move(self, sandbox_id: str, wanted: State, change: StateChange | None = None) -> Sandbox:
        """Take one step of the lifecycle and return the new row; Conflict when the present state forbids it."""
        columns = {key: value for key, value in asdict(change or StateChange()).items() if value is not None}
        columns = {key: _to_column(value) for key, value in columns.items()}
        assignments = "".join(f", {name} = ?" for name in columns)

        def step(db: sqlite3.Connection) -> Sandbox:
            present = db.execute("SELECT * FROM sandboxes WHERE id = ?", (sandbox_id,)).fetchone()
            if present is None:
                raise NotFound("sandbox not found")
            move(State(present["state"]), wanted)
            db.execute(
                f"UPDATE sandboxes SET state = ?{assignments} WHERE id = ?",
                (wanted, *columns.values(), sandbox_id),
            )
            return _sandbox(db.execute("SELECT * FROM sandboxes WHERE id = ?", (sandbox_id,)).fetchone())

        return await self._db.write(step)

    async def change(self, sandbox_id: str, changes: SandboxChanges) -> Sandbox:
        """Change what is given and return the new row; Conflict when the sandbox has ended or is about to."""
        columns: dict[str, int | None] = {}
        if changes.ingress_enabled is not None:
            columns["ingress_enabled"] = int(changes.ingress_enabled)
        if changes.disable_auto_pause or changes.auto_pause_after_seconds is not None:
            columns["auto_pause_after_seconds"] = changes.auto_pause_after_seconds
        assignments = ", ".join(f"{name} = ?" for name in columns)

        def change(db: sqlite3.Connection) -> Sandbox:
            sql = "SELECT * FROM sandboxes WHERE id = ?"
            require_alive(_required(db.execute(sql, (sandbox_id,)).fetchone()).state)
            if columns:
                db.execute(f"UPDATE sandboxes SET {assignments} WHERE id = ?", (*columns.values(), sandbox_id))
            return _required(db.execute(sql, (sandbox_id,)).fetchone())

        return await self._db.write(change)

    async def forget(self, *, ended_before: datetime) -> int:
        """Delete terminal rows that ended before a moment and return how many."""
        sql = f"DELETE FROM sandboxes WHERE state IN {_IN_TERMINAL} AND coalesce(destroyed_at, created_at) < ?"
        return await self._db.write(lambda db: db.execute(sql, (*_TERMINAL, to_text(ended_before))).rowcount)


def _duplicate(name: str) -> Invalid:
    return Invalid(
        f"you already have a sandbox named {name}", hint="choose another name or remove that one", field="name"
    )


def to_columns(sandbox: Sandbox) -> dict[str, object]:
    """Return a row as it is stored."""
    return {name: _to_column(getattr(sandbox, name)) for name in _COLUMNS}


def _to_column(value: object) -> object:
    match value:
        case datetime():
            return to_text(value)
        case ImageConfig():
            return json.dumps(asdict(value))
        case dict() | tuple():
            return json.dumps(value)
        case bool():
            return int(value)
        case _:
            return value


def _required(row: Row | None) -> Sandbox:
    if row is None:
        raise NotFound("sandbox not found")
    return _sandbox(row)


def _sandbox(row: Row) -> Sandbox:
    return from_columns(dict(row))


def from_columns(columns: dict[str, Any]) -> Sandbox:
    """Return the sandbox that was stored so."""
    image = json.loads(columns.pop("image"))
    image |= {"entrypoint": tuple(image["entrypoint"]), "cmd": tuple(image["cmd"])}
    return Sandbox(
        **columns
        | {
            "state": State(columns["state"]),
            "image": ImageConfig(**image),
            "envs": json.loads(columns["envs"]),
            "ssh_pubkeys": tuple(json.loads(columns["ssh_pubkeys"])),
            "egress": tuple(json.loads(columns["egress"])),
            "ingress_enabled": bool(columns["ingress_enabled"]),
            "created_at": to_time(columns["created_at"]),
            "running_at": optional_time(columns["running_at"]),
            "destroyed_at": optional_time(columns["destroyed_at"]),
            "paused_at": optional_time(columns["paused_at"]),
            "last_resumed_at": optional_time(columns["last_resumed_at"]),
            "auto_paused": bool(columns["auto_paused"]),
            "has_memory": bool(columns["has_memory"]),
            "receipt": json.loads(columns["receipt"]),
        }
    )
