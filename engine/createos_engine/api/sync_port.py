"""What the route of file synchronisation asks of its service (see ports.py)."""

from __future__ import annotations

from typing import Protocol

from createos_engine.duplex import Duplex
from createos_engine.words import User


class SyncStream(Protocol):
    """A synchronisation that waits for its client."""

    async def carry(self, duplex: Duplex) -> None:
        """Pass bytes both ways until either end is gone; never fails."""


class SyncPort(Protocol):
    """Synchronisation of files in sandboxes."""

    async def open(self, user: User, ref: str) -> SyncStream:
        """Check everything and begin; the caller carries it."""
