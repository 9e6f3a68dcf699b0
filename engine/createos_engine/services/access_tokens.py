"""Delegated access tokens: who gives them out, and what they open (wire-api 4.3)."""

from __future__ import annotations

from createos_engine.errors import Forbidden, NotFound
from createos_engine.store.access_tokens import AccessTokenStore
from createos_engine.store.sandboxes import SandboxStore
from createos_engine.words import AccessToken, Grant, User


class AccessTokens:
    """The access token of each sandbox; its owner alone manages it."""

    def __init__(self, store: AccessTokenStore, sandboxes: SandboxStore) -> None:
        self._store = store
        self._sandboxes = sandboxes

    async def create(self, user: User, ref: str) -> tuple[str, AccessToken]:
        """Return a new token in plain text and its record; Conflict when there is one already."""
        return await self._store.create(self._sandboxes.find(user.id, ref).id)

    async def get(self, user: User, ref: str) -> AccessToken | None:
        """Return the record of a sandbox's token, None when it has none."""
        return self._store.find(self._sandboxes.find(user.id, ref).id)

    async def rotate(self, user: User, ref: str) -> tuple[str, AccessToken]:
        """Return a token in place of the present one; NotFound when there is none."""
        return await self._store.rotate(self._sandboxes.find(user.id, ref).id)

    async def delete(self, user: User, ref: str) -> None:
        """End a sandbox's token; repeatable."""
        await self._store.delete(self._sandboxes.find(user.id, ref).id)

    async def grant(self, token: str) -> Grant | None:
        """Return what a delegated token opens, None when this is not one."""
        return self._store.grant(token)

    async def pin(self, grant: Grant, ref: str) -> str:
        """Return the id of the sandbox that *ref* means if the grant is for it, else raise Forbidden.

        The sentence is the same for sandboxes that exist and for those that do not.
        """
        try:
            found = self._sandboxes.find(grant.owner.id, ref).id
        except NotFound:
            found = ""
        if found != grant.sandbox_id:
            raise Forbidden("this access token is for another sandbox", hint="use your own API key")
        return found
