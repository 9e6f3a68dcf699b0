"""Sandboxes that were paused for being idle go on when somebody who wants that comes (extension `auto_resume`)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from createos_engine.errors import Conflict, TimedOut
from createos_engine.store.sandboxes import SandboxStore
from createos_engine.words import Sandbox, State, User

_POLL_S = 0.05
_COMING = frozenset({State.PAUSED, State.RESUMING, State.PAUSING})


class Wakes:
    """Resumes and waits. A sandbox that its owner paused stays as it is: that was meant."""

    def __init__(
        self, store: SandboxStore, resume: Callable[[Sandbox], Awaitable[Sandbox]], *, deadline_s: float
    ) -> None:
        self._store = store
        self._resume = resume
        self._deadline_s = deadline_s

    async def wake(self, user: User, ref: str) -> None:
        """Let the user's sandbox run if idleness paused it; several callers wait for one resume.

        Raises what the resume raises, Conflict when it ended elsewhere, TimedOut when it takes too long.
        """
        sandbox = self._store.find(user.id, ref)
        if sandbox.auto_paused:
            await self.woken(sandbox)

    async def woken(self, sandbox: Sandbox) -> Sandbox:
        """Return the sandbox running."""
        try:
            async with asyncio.timeout(self._deadline_s):
                while sandbox.state in _COMING:
                    if sandbox.state is State.PAUSED:
                        with suppress(Conflict):  # somebody else was quicker
                            await self._resume(sandbox)
                    await asyncio.sleep(_POLL_S)
                    sandbox = self._store.get(sandbox.id)
        except TimeoutError:
            raise TimedOut(
                f"sandbox {sandbox.name} was paused for being idle and did not resume within {self._deadline_s:g} s",
                hint=f"ask again, or see createos sandbox get {sandbox.name}",
            ) from None
        if sandbox.state is not State.RUNNING:
            why = sandbox.reason or "nobody said why"
            raise Conflict(f"sandbox is {sandbox.state}", hint=f"it was to be resumed for this: {why}")
        return sandbox
