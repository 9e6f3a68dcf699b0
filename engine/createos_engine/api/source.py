"""Events that are taken one at a time, with patience: what every streamed answer is made from."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Generic, TypeVar

T = TypeVar("T")

# A refusal of the guest comes back within milliseconds; who says nothing is not held up any longer.
PATIENCE_S = 0.25


class Source(Generic[T]):
    """An iterator that is asked and not interrupted. `close` lets go of it; *end* is what its end counts as."""

    def __init__(self, events: AsyncIterator[T], *, end: T) -> None:
        self._events = events
        self._end = end
        self._waiting: asyncio.Future[T] | None = None

    async def begin(self, patience_s: float = PATIENCE_S) -> None:
        """Wait a moment for the first event; raises what came in its place."""
        waiting = self._ask()
        try:
            await asyncio.wait([waiting], timeout=patience_s)
        except asyncio.CancelledError:
            await self.close()
            raise
        if waiting.done() and (failed := waiting.exception()):
            raise failed

    async def next(self, within_s: float) -> T | None:
        """Return the next event, or None when none came in time."""
        waiting = self._ask()
        done, _ = await asyncio.wait([waiting], timeout=within_s)
        if not done:
            return None
        self._waiting = None
        return waiting.result()

    async def close(self) -> None:
        """Let go of the source, which ends what it stands for."""
        if self._waiting:
            self._waiting.cancel()
            await asyncio.gather(self._waiting, return_exceptions=True)
        if isinstance(self._events, AsyncGenerator):
            await self._events.aclose()

    def _ask(self) -> asyncio.Future[T]:
        if self._waiting is None:
            self._waiting = asyncio.ensure_future(anext(self._events, self._end))
        return self._waiting
