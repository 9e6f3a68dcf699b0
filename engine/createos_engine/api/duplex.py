"""The raw bytes of a connection that was HTTP until a route took it over (wire-api 9.1)."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

# What may be waiting for a reader before the peer has to stand still, and when it may go on.
HIGH_WATER_BYTES = 262_144
_LOW_WATER_BYTES = 65_536
_CLOSE_S = 5.0
# A connection that was silent for so long when the daemon stops has nothing under way that would be cut.
_QUIET_S = 0.5
_DRAIN_STEP_S = 0.1
_GONE = "the client has gone away"


class RawConnection(asyncio.Protocol):
    """A Duplex over an asyncio transport. uvicorn counts it among its connections until it is closed."""

    def __init__(self, transport: asyncio.Transport, connections: set[Any]) -> None:
        self._transport = transport
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._reading_paused = False
        self._ended = False
        self._eof_sent = False
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._gone = asyncio.Event()
        self._last_s = self._loop.time()
        connections.add(self)

    def paused(self, *, reading: bool, writing: bool) -> None:
        """Take the state of the transport over, before anything else."""
        self._reading_paused = reading
        if writing:
            self._room.clear()

    async def read(self) -> bytes:
        """Return what has come; empty at end-of-file. Raises ConnectionError."""
        while not self._waiting:
            if self._gone.is_set():
                raise ConnectionResetError(_GONE)
            if self._ended:
                return b""
            self._changed.clear()
            await self._changed.wait()
        data = self._waiting.popleft()
        self._waiting_bytes -= len(data)
        if self._reading_paused and self._waiting_bytes <= _LOW_WATER_BYTES and not self._gone.is_set():
            self._reading_paused = False
            self._transport.resume_reading()
        return data

    async def write(self, data: bytes) -> None:
        """Send, waiting for room first. Raises ConnectionError."""
        await self._room.wait()
        if self._gone.is_set() or self._transport.is_closing():
            raise ConnectionResetError(_GONE)
        self._last_s = self._loop.time()
        self._transport.write(data)

    def write_eof(self) -> None:
        """Send end-of-file behind what was written; once is enough."""
        if not self._eof_sent and not self._transport.is_closing():
            self._eof_sent = True
            self._transport.write_eof()

    async def gone(self) -> None:
        """Return when the connection is over."""
        await self._gone.wait()

    async def close(self) -> None:
        """Hang up when everything is sent, or after five seconds."""
        self._transport.close()
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self._gone.wait()
        except TimeoutError:
            self.abort()

    def abort(self) -> None:
        """Hang up at once."""
        self._transport.abort()

    def shutdown(self) -> None:
        """Part of uvicorn's protocol: the daemon stops. Hang up as soon as nothing moves; uvicorn has a deadline."""
        if self._loop.time() - self._last_s >= _QUIET_S:
            self._transport.abort()
        elif not self._gone.is_set():
            self._loop.call_later(_DRAIN_STEP_S, self.shutdown)

    def data_received(self, data: bytes) -> None:
        """Keep what came until it is read."""
        self._last_s = self._loop.time()
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes >= HIGH_WATER_BYTES and not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()
        self._changed.set()

    def eof_received(self) -> bool:
        """Note the end of what comes; the other way stays open."""
        self._ended = True
        self._changed.set()
        return True

    def connection_lost(self, _: Exception | None) -> None:
        """Wake everybody; there is nothing to wait for any more."""
        self._connections.discard(self)
        for event in (self._gone, self._changed, self._room):
            event.set()

    def pause_writing(self) -> None:
        """The peer does not read as fast as it is written to."""
        self._room.clear()

    def resume_writing(self) -> None:
        """There is room again."""
        self._room.set()
