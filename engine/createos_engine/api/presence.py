"""Work that is worth doing only as long as the client is there (wire-api 7.3: a program ends with its client)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from createos_engine.api.source import Source

T = TypeVar("T")
# What nginx logs for a client that went away; nobody receives it.
CLIENT_CLOSED = 499

# What nginx logs for a client that went away; nobody receives it.
CLIENT_CLOSED = 499


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T | None:
    """Return what *work* returns, or None when the client went away first; the work is cancelled then."""
    task, gone = asyncio.create_task(work), asyncio.create_task(_gone(receive))
    try:
        await asyncio.wait([task, gone], return_when=asyncio.FIRST_COMPLETED)
        return await task if task.done() else None
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class LineStream(StreamingResponse):
    """NDJSON made from a source. The framework's own streaming does not close what it streams from."""

    media_type = "application/x-ndjson"

    def __init__(self, lines: AsyncIterator[str], source: Source[Any]) -> None:
        super().__init__(lines)
        self._source = source

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        """Send lines until their end or that of the client's patience; close the source either way."""
        try:
            await unless_gone(receive, self.stream_response(send))
        finally:
            await self._source.close()
