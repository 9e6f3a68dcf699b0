"""Access tokens in a dict."""

from __future__ import annotations

from dataclasses import replace

from createos_engine.api.ports import SandboxPort
from createos_engine.errors import Conflict, Forbidden, NotFound
from createos_engine.lifecycle import require_alive
from createos_engine.words import AccessToken, Grant, User

from tests.fakes.rows import NOON


class FakeAccessTokens:
    """At most one token a sandbox, named after a counter."""

    def __init__(self, sandboxes: SandboxPort) -> None:
        self._sandboxes = sandboxes
        self._made = 0
        self.tokens: dict[str, tuple[str, AccessToken, User]] = {}

    async def create(self, user: User, ref: str) -> tuple[str, AccessToken]:
        """Make a token, unless there is one."""
        row = await self._sandboxes.get(user, ref)
        require_alive(row.state)
        if row.id in self.tokens:
            raise Conflict(
                "the sandbox has an access token already", hint="rotate it for a new one, or delete it first"
            )
        return self._give(row.id, user, AccessToken("", NOON))

    async def get(self, user: User, ref: str) -> AccessToken | None:
        """Return the record."""
        found = self.tokens.get((await self._sandboxes.get(user, ref)).id)
        return found[1] if found else None

    async def rotate(self, user: User, ref: str) -> tuple[str, AccessToken]:
        """Replace the token."""
        row = await self._sandboxes.get(user, ref)
        if row.id not in self.tokens:
            raise NotFound("the sandbox has no access token", hint="create one first")
        return self._give(row.id, user, replace(self.tokens[row.id][1], rotated_at=NOON))

    async def delete(self, user: User, ref: str) -> None:
        """Forget the token."""
        self.tokens.pop((await self._sandboxes.get(user, ref)).id, None)

    async def grant(self, token: str) -> Grant | None:
        """Return what a token opens."""
        for sandbox_id, (text, _, owner) in self.tokens.items():
            if text == token:
                return Grant(owner, sandbox_id)
        return None

    async def pin(self, grant: Grant, ref: str) -> str:
        """Return the id if the grant is for it."""
        try:
            found = (await self._sandboxes.get(grant.owner, ref)).id
        except NotFound:
            found = ""
        if found != grant.sandbox_id:
            raise Forbidden("this access token is for another sandbox", hint="use your own API key")
        return found

    def _give(self, sandbox_id: str, owner: User, record: AccessToken) -> tuple[str, AccessToken]:
        self._made += 1
        token = f"skp_sb_{self._made:043d}"
        record = replace(record, hint=f"{token[:11]}…{token[-4:]}")
        self.tokens[sandbox_id] = (token, record, owner)
        return token, record
