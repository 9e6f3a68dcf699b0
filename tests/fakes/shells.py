"""Shells that say back what they hear."""

from __future__ import annotations

from contextlib import suppress

from createos_engine.api.ports import SandboxPort
from createos_engine.duplex import Duplex
from createos_engine.lifecycle import require_running
from createos_engine.words import User


class FakeShells:
    """A shell that says back every byte it is sent, frames and all; `refuse` is raised by the next open."""

    def __init__(self, sandboxes: SandboxPort) -> None:
        self._sandboxes = sandboxes
        self.refuse: Exception | None = None

    async def open(self, user: User, ref: str) -> EchoSession:
        """Open it."""
        require_running((await self._sandboxes.get(user, ref)).state)
        if self.refuse:
            raise self.refuse
        return EchoSession()


class EchoSession:
    """What a client of it hears is what it said; `x` ends it."""

    async def serve(self, duplex: Duplex) -> None:
        """Echo."""
        with suppress(ConnectionError):
            while data := await duplex.read():
                await duplex.write(data)
                if data.endswith(b"x"):
                    break
        await duplex.close()
