"""Private networks in memory, over the fake sandboxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from createos_engine.api.ports import SandboxPort
from createos_engine.errors import Conflict, Forbidden, Invalid, NotFound
from createos_engine.lifecycle import require_running
from createos_engine.network_words import Member, PrivateNetwork
from createos_engine.words import Page, User

from tests.fakes.rows import NOON

MOST = 5


@dataclass
class FakeNetworks:
    """Networks in a dict; a member is a sandbox of the same user."""

    sandboxes: SandboxPort
    rows: dict[str, PrivateNetwork] = field(default_factory=dict)

    async def create(self, user: User, name: str) -> PrivateNetwork:
        """Make a network at once."""
        mine = [row for row in self.rows.values() if row.user_id == user.id]
        if name in [row.name for row in mine]:
            raise Invalid(f"you already have a network named {name}", hint="choose another", field="name")
        if len(mine) >= MOST:
            raise Forbidden(f"you have {MOST} networks", hint="delete one")
        number = len(self.rows) + 1
        row = PrivateNetwork(f"net-{number:026d}", user.id, name, number, NOON)
        self.rows[row.id] = row
        return row

    async def list(self, user: User, page: Page) -> tuple[Sequence[PrivateNetwork], int]:
        """Return the newest rows first."""
        mine = [row for row in reversed(self.rows.values()) if row.user_id == user.id]
        return mine[page.offset : page.offset + page.limit], len(mine)

    async def get(self, user: User, ref: str) -> PrivateNetwork:
        """Return a row of this user by id or name."""
        for row in self.rows.values():
            if row.user_id == user.id and ref in (row.id, row.name):
                return row
        raise NotFound("network not found")

    async def delete(self, user: User, ref: str) -> PrivateNetwork:
        """Delete a row that has no members."""
        row = await self.get(user, ref)
        if row.members:
            raise Conflict(f"network {row.name} is used by {row.member_count} sandbox", hint="detach them first")
        return self.rows.pop(row.id)

    async def attach(self, user: User, sandbox_ref: str, network_ref: str) -> PrivateNetwork:
        """Add a member."""
        sandbox = await self.sandboxes.get(user, sandbox_ref)
        require_running(sandbox.state)
        row = await self.get(user, network_ref)
        others = [member for member in row.members if member.sandbox_id != sandbox.id]
        member = Member(sandbox.id, sandbox.name, sandbox.state, f"10.78.{row.slot}.{sandbox.slot}")
        return self._keep(row, (*others, member))

    async def detach(self, user: User, sandbox_ref: str, network_ref: str) -> PrivateNetwork:
        """Remove a member."""
        sandbox = await self.sandboxes.get(user, sandbox_ref)
        row = await self.get(user, network_ref)
        others = tuple(member for member in row.members if member.sandbox_id != sandbox.id)
        if others == row.members:
            raise NotFound(f"the sandbox is not on network {row.name}")
        return self._keep(row, others)

    def _keep(self, row: PrivateNetwork, members: tuple[Member, ...]) -> PrivateNetwork:
        self.rows[row.id] = replace(row, members=members, member_count=len(members))
        return self.rows[row.id]
