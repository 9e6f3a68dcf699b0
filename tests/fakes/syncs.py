"""Synchronisations whose guest says back what it hears."""

from __future__ import annotations

from createos_engine.api.ports import SandboxPort
from createos_engine.duplex import Duplex
from createos_engine.lifecycle import require_running
from createos_engine.words import User

from tests.fakes.taker import echo


class FakeSyncs:
    """Checks like the real one; what is carried is an echo."""

    def __init__(self, sandboxes: SandboxPort) -> None:
        self._sandboxes = sandboxes

    async def open(self, user: User, ref: str) -> FakeSyncs:
        """Check."""
        require_running((await self._sandboxes.get(user, ref)).state)
        return self

    async def carry(self, duplex: Duplex) -> None:
        """Say it back."""
        await echo(duplex)
