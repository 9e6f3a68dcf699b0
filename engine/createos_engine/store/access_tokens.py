"""Delegated access tokens, one a sandbox. Only the SHA-256 is kept: a token has 256 random bits, no salt is needed.

The end of a sandbox deletes its token (a trigger of m002), so that nobody has to remember to.
"""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
from datetime import UTC, datetime

from createos_engine.errors import Conflict, NotFound
from createos_engine.lifecycle import require_alive
from createos_engine.store.database import Database, Row
from createos_engine.store.rows import optional_time, to_text, to_time
from createos_engine.words import AccessToken, Grant, State, User

PREFIX = "skp_sb_"  # wire-api 3
_SHOWN = 4


class AccessTokenStore:
    """The access_tokens table."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def find(self, sandbox_id: str) -> AccessToken | None:
        """Return what is known of a sandbox's token, None when it has none."""
        rows = self._db.read("SELECT * FROM access_tokens WHERE sandbox_id = ?", (sandbox_id,))
        return _token(rows[0]) if rows else None

    def grant(self, token: str) -> Grant | None:
        """Return what a token allows, None for a text that is no delegated token of a sandbox that is there."""
        rows = self._db.read(
            "SELECT sandboxes.id AS sandbox_id, users.id, users.name, users.created_at FROM access_tokens "
            "JOIN sandboxes ON sandboxes.id = access_tokens.sandbox_id JOIN users ON users.id = sandboxes.user_id "
            "WHERE access_tokens.hash = ?",
            (_hash(token),),
        )
        if not rows:
            return None
        owner = User(rows[0]["id"], rows[0]["name"], to_time(rows[0]["created_at"]))
        return Grant(owner, rows[0]["sandbox_id"])

    async def create(self, sandbox_id: str) -> tuple[str, AccessToken]:
        """Return a new token and what is kept of it; this is the only time its text exists here.

        Raises Conflict when the sandbox has one already or is ending.
        """
        token, now = _new(), datetime.now(UTC)

        def change(db: sqlite3.Connection) -> AccessToken:
            _require_alive(db, sandbox_id)
            values = (sandbox_id, _hash(token), _hint(token), to_text(now))
            try:
                db.execute("INSERT INTO access_tokens (sandbox_id, hash, hint, created_at) VALUES (?, ?, ?, ?)", values)
            except sqlite3.IntegrityError as exc:
                raise Conflict(
                    "the sandbox has an access token already", hint="rotate it for a new one, or delete it first"
                ) from exc
            return AccessToken(_hint(token), now)

        return token, await self._db.write(change)

    async def rotate(self, sandbox_id: str) -> tuple[str, AccessToken]:
        """Replace the token, which ends the old one at once; NotFound when there is none."""
        token, now = _new(), datetime.now(UTC)

        def change(db: sqlite3.Connection) -> AccessToken:
            _require_alive(db, sandbox_id)
            values = (_hash(token), _hint(token), to_text(now), sandbox_id)
            db.execute("UPDATE access_tokens SET hash = ?, hint = ?, rotated_at = ? WHERE sandbox_id = ?", values)
            row = db.execute("SELECT * FROM access_tokens WHERE sandbox_id = ?", (sandbox_id,)).fetchone()
            if row is None:
                raise NotFound("the sandbox has no access token", hint="create one first")
            return _token(row)

        return token, await self._db.write(change)

    async def delete(self, sandbox_id: str) -> None:
        """End the token, if there is one."""
        await self._db.write(lambda db: db.execute("DELETE FROM access_tokens WHERE sandbox_id = ?", (sandbox_id,)))


def _require_alive(db: sqlite3.Connection, sandbox_id: str) -> None:
    row = db.execute("SELECT state FROM sandboxes WHERE id = ?", (sandbox_id,)).fetchone()
    if row is None:
        raise NotFound("sandbox not found")
    require_alive(State(row["state"]))


def _new() -> str:
    return PREFIX + secrets.token_urlsafe(32)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _hint(token: str) -> str:
    """Return enough to tell a token from another one, and too little to guess it (48 of 256 bits are shown)."""
    return f"{token[: len(PREFIX) + _SHOWN]}…{token[-_SHOWN:]}"


def _token(row: Row) -> AccessToken:
    return AccessToken(row["hint"], to_time(row["created_at"]), optional_time(row["rotated_at"]))
