"""Users and their tokens. A token is stored only as its SHA-256: it has 256 random bits, no salt is needed."""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
from datetime import UTC, datetime

from ulid import ULID

from createos_engine.errors import Unauthenticated
from createos_engine.store.database import Database, Row
from createos_engine.store.rows import to_text, to_time
from createos_engine.words import User

TOKEN_PREFIX = "skp_"  # noqa: S105  the prefix of user keys (wire-api 3)


class AccountStore:
    """The users and tokens tables."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def by_token(self, token: str) -> User:
        """Return the owner of a token, or raise Unauthenticated."""
        rows = self._db.read(
            "SELECT users.* FROM tokens JOIN users ON users.id = tokens.user_id WHERE tokens.hash = ?", (_hash(token),)
        )
        if not rows:
            raise Unauthenticated("invalid api key", hint="createos login", field="auth")
        return _user(rows[0])

    async def by_uid(self, uid: int, name: str) -> User:
        """Return the user of a local unix user id, made with *name* on first sight."""
        rows = self._db.read("SELECT * FROM users WHERE uid = ?", (uid,))
        if rows:
            return _user(rows[0])

        def change(db: sqlite3.Connection) -> User:
            db.execute(
                "INSERT INTO users (id, name, uid, created_at) VALUES (?, ?, ?, ?) ON CONFLICT (uid) DO NOTHING",
                (f"usr-{ULID()}".lower(), name, uid, to_text(datetime.now(UTC))),
            )
            return _user(db.execute("SELECT * FROM users WHERE uid = ?", (uid,)).fetchone())

        return await self._db.write(change)

    async def mint_token(self, user: User, label: str) -> str:
        """Return a new token of *user*; this is the only time its text exists here."""
        token = TOKEN_PREFIX + secrets.token_urlsafe(32)
        values = (_hash(token), user.id, label, to_text(datetime.now(UTC)))
        sql = "INSERT INTO tokens (hash, user_id, label, created_at) VALUES (?, ?, ?, ?)"
        await self._db.write(lambda db: db.execute(sql, values))
        return token


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _user(row: Row) -> User:
    return User(id=row["id"], name=row["name"], created_at=to_time(row["created_at"]))
