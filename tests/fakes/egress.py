"""Egress rules and bandwidth in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from createos_engine.errors import Invalid
from createos_engine.lifecycle import require_alive
from createos_engine.services.egress_rules import checked
from createos_engine.traffic import UNMETERED, Bandwidth, Denial, Explained
from createos_engine.words import Sandbox, User

from tests.fakes.rows import NOON
from tests.fakes.services import FakeSandboxes


class FakeEgress:
    """Rules are kept in the rows; `denied` is what every sandbox was refused."""

    def __init__(self, sandboxes: FakeSandboxes) -> None:
        self._sandboxes = sandboxes
        self.denied = [
            Denial("198.51.100.7", "tcp", 22, "unlisted", "no egress rule allows this destination", 3, NOON, NOON),
            Denial("bad.example", "", 0, "name", "no egress rule lists this name", 1, NOON, NOON),
        ]

    async def get(self, user: User, ref: str) -> Sandbox:
        """Return the row."""
        return await self._sandboxes.get(user, ref)

    async def replace(self, user: User, ref: str, rules: Sequence[str]) -> Sandbox:
        """Keep checked rules."""
        row = await self._sandboxes.get(user, ref)
        require_alive(row.state)
        return self._sandboxes.add(replace(row, egress=checked(rules)))

    async def denials(self, user: User, ref: str) -> Sequence[Denial]:
        """Return what the test said."""
        await self._sandboxes.get(user, ref)
        return self.denied

    async def explain(self, user: User, ref: str, host: str, port: int) -> Explained:
        """Allow what is listed word for word."""
        row = await self._sandboxes.get(user, ref)
        if " " in host:
            raise Invalid(f"{host!r} is neither a host name nor an address", hint="write HOST", field="host")
        listed = not row.egress or host in row.egress
        return Explained(listed, "a rule says so" if listed else "no rule says so", (host,) if listed else ())


class FakeBandwidth:
    """Everybody has sent 1000 bytes and got 2000."""

    quota_bytes = UNMETERED

    def __init__(self, sandboxes: FakeSandboxes) -> None:
        self._sandboxes = sandboxes

    async def get(self, user: User, ref: str) -> Bandwidth:
        """Return the same for all."""
        row = await self._sandboxes.get(user, ref)
        return Bandwidth(row.id, self.quota_bytes, 1000, 2000)

    async def recharge(self, user: User, ref: str, add_bytes: int) -> Bandwidth:
        """Raise a quota that there is."""
        bandwidth = await self.get(user, ref)
        if add_bytes <= 0:
            raise Invalid(f"{add_bytes} bytes cannot be added", hint="add more", field="add_bytes")
        if bandwidth.quota_bytes == UNMETERED:
            return bandwidth
        return replace(bandwidth, quota_bytes=bandwidth.quota_bytes + add_bytes)
