"""Bytes in both directions until both sides have ended."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from createos_netconfig.ingress.upstream import CHUNK_BYTES, STALLED_S

# How long one side may go on when the other has said that it has nothing more to say.
HALF_CLOSED_S = 60.0

Side = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def splice(left: Side, right: Side, early: tuple[bytes, bytes]) -> None:
    """Pass bytes on as they come; *early* are those that came from left and right already."""
    left[1].write(early[1])
    right[1].write(early[0])
    passing = [asyncio.create_task(_pass(*ends)) for ends in ((left[0], right[1]), (right[0], left[1]))]
    try:
        await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait(passing, timeout=HALF_CLOSED_S)
    finally:
        for task in passing:
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)


async def _pass(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Pass one direction on and close it when it ends; TLS cannot be closed by halves, it ends as a whole."""
    with suppress(OSError):
        while data := await source.read(CHUNK_BYTES):
            sink.write(data)
            async with asyncio.timeout(STALLED_S):
                await sink.drain()
    with suppress(OSError):
        if sink.can_write_eof():
            sink.write_eof()
        else:
            sink.close()
