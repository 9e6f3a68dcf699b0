"""Who is asking: local users by unix user id, everybody else by token."""

from __future__ import annotations

import pwd

from createos_engine.store.accounts import AccountStore
from createos_engine.words import User


class Accounts:
    """Users and tokens."""

    def __init__(self, store: AccountStore) -> None:
        self._store = store

    async def by_token(self, token: str) -> User:
        """Return the owner of a token, or raise Unauthenticated."""
        return self._store.by_token(token)

    async def by_uid(self, uid: int) -> User:
        """Return the user of a local unix user id, made on first sight."""
        return await self._store.by_uid(uid, _login_name(uid))

    async def mint_token(self, user: User, label: str) -> str:
        """Return a new token in plain text; only its hash is kept."""
        return await self._store.mint_token(user, label)


def _login_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
