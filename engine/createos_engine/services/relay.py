"""One place where the bytes of a taken-over connection and of a stream to a guest meet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from createos_engine.drivers.channel.stream import Stream
from createos_engine.duplex import Duplex
from createos_engine.errors import EngineError

log = structlog.get_logger(__name__)

OUTPUT = 1
# Of a client that has said its last word the kernel does not tell when it goes away; silence so long means that.
HALF_CLOSED_SILENCE_S = 600.0

_FIRST = asyncio.FIRST_COMPLETED

Upward = Callable[[Duplex, Stream], Coroutine[Any, Any, None]]


async def as_it_comes(duplex: Duplex, stream: Stream) -> None:
    """Send what the client sends, and its end-of-file."""
    while data := await duplex.read():
        await stream.send(data)
    stream.send_eof()


async def relay(duplex: Duplex, stream: Stream, upward: Upward = as_it_comes) -> None:
    """Carry bytes both ways until the guest has ended the stream or the client has gone away; never fails.

    End-of-file is passed on in both directions. *upward* is what happens to the client's bytes, for protocols that
    frame them; it returns when nothing more comes. Whatever happens, also when the task is cancelled: afterwards the
    stream is over or cancelled and the client is hung up on, with a reset when the guest's end was not an orderly one.
    """
    downward = _Downward(duplex, stream)
    up = asyncio.create_task(upward(duplex, stream), name="relay up")
    down = asyncio.create_task(downward.run(), name="relay down")
    gone = asyncio.create_task(duplex.gone(), name="relay gone")
    try:
        await asyncio.wait([up, down, gone], return_when=_FIRST)
        if up.done() and not down.done():
            up.result()
            await downward.patience(down, gone)
        if down.done():
            down.result()
            await duplex.close()
    except (ConnectionError, EngineError, TimeoutError) as exc:
        log.debug("relay ended", reason=str(exc))
    finally:
        stream.cancel()
        for task in (up, down, gone):
            task.cancel()
        duplex.abort()
        await asyncio.gather(up, down, gone, return_exceptions=True)


class _Downward:
    """What the guest says; its end is the end of the relay, however much the client might still send."""

    def __init__(self, duplex: Duplex, stream: Stream) -> None:
        self._duplex = duplex
        self._stream = stream
        self._pieces = 0

    async def run(self) -> None:
        """Write until the stream is over. Raises AgentError, ChannelLost or ConnectionError."""
        async for piece in self._stream:
            self._pieces += 1
            if not piece.data and piece.sub == OUTPUT:
                self._duplex.write_eof()
            elif piece.sub == OUTPUT:
                await self._duplex.write(piece.data)
        await self._stream.result()

    async def patience(self, down: asyncio.Task[None], gone: asyncio.Task[None]) -> None:
        """Wait until one of the tasks has ended, or raise TimeoutError when the guest was silent for too long."""
        done: set[asyncio.Task[None]] = set()
        while not done:
            seen = self._pieces
            done, _ = await asyncio.wait([down, gone], timeout=HALF_CLOSED_SILENCE_S, return_when=_FIRST)
            if self._pieces == seen and not done:
                raise TimeoutError(f"the guest said nothing for {HALF_CLOSED_SILENCE_S:g} s after the client's end")
