"""Moments in which nobody waits for a machine: what can be done at any time is done then."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

from createos_engine.store.sandboxes import SandboxStore
from createos_engine.words import State

# While any sandbox is in one of these, somebody is waiting.
_BUSY = frozenset({State.CREATING, State.PAUSING, State.RESUMING, State.FORKING})
_LOOK_AGAIN_S = 0.2


class Quiet:
    """Waits until nothing has been started or stopped for a while."""

    def __init__(
        self, sandboxes: SandboxStore, quiet_s: float, *, pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._sandboxes = sandboxes
        self._quiet_s = quiet_s
        self._pause = pause

    async def wait(self) -> None:
        """Return when it has been quiet for *quiet_s* seconds."""
        since = monotonic()
        while monotonic() - since < self._quiet_s:
            await self._pause(min(self._quiet_s, _LOOK_AGAIN_S))
            if self._sandboxes.in_states(_BUSY):
                since = monotonic()
