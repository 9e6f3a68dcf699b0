"""The bytes of one SSH channel, as a Duplex. Nothing beyond some hundred KiB waits here in either direction."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import asyncssh
from asyncssh.channel import SSHChannel

# Input that may wait for a reader before the client has to stand still, and when it may go on.
_HIGH_WATER_BYTES = 262_144
_LOW_WATER_BYTES = 65_536
_GONE = "the SSH client has gone away"


class Pipe:
    """A Duplex whose `write` can also go to stderr. The methods up to `lost` are the channel's."""

    def __init__(self, connection_has_room: asyncio.Event) -> None:
        """`connection_has_room` is clear while the TCP connection, which all channels share, is full."""
        self._connection_room = connection_has_room
        self._channel: SSHChannel[bytes] | None = None
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._held_up = False
        self._ended = False
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._gone = asyncio.Event()
        self._on_lost: Callable[[], None] = _nothing

    def on_lost(self, action: Callable[[], None]) -> None:
        """Do *action* when the channel is closed."""
        self._on_lost = action

    def connected(self, channel: SSHChannel[Any]) -> None:
        """The channel is open."""
        self._channel = channel

    def received(self, data: bytes) -> None:
        """Keep input; a client that is not read gets no more window."""
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        self._changed.set()
        if self._waiting_bytes >= _HIGH_WATER_BYTES and not self._held_up and self._channel:
            self._held_up = True
            self._channel.pause_reading()

    def ended(self) -> None:
        """Nothing more comes from the client."""
        self._ended = True
        self._changed.set()

    def paused(self) -> None:
        """The channel's window is used up."""
        self._room.clear()

    def resumed(self) -> None:
        """The client has read."""
        self._room.set()

    def lost(self) -> None:
        """The channel is closed; whoever waits for it finds out."""
        self._gone.set()
        self._changed.set()
        self._room.set()
        self._on_lost()

    async def read(self) -> bytes:
        """Return what has come; empty at end-of-file. Raises ConnectionError when the client has gone away."""
        while not self._waiting:
            if self._ended:
                return b""
            if self._gone.is_set():
                raise ConnectionResetError(_GONE)
            self._changed.clear()
            await self._changed.wait()
        data = self._waiting.popleft()
        self._waiting_bytes -= len(data)
        if self._held_up and self._waiting_bytes <= _LOW_WATER_BYTES:
            self._held_up = False
            if self._channel and not self._gone.is_set():
                self._channel.resume_reading()
        return data

    async def write(self, data: bytes, *, stderr: bool = False) -> None:
        """Send *data*; wait while the client does not read. Raises ConnectionError when it has gone away."""
        while not (self._room.is_set() and self._connection_room.is_set()):
            await self._room.wait()
            await self._connection_room.wait()
        if self._gone.is_set() or self._channel is None:
            raise ConnectionResetError(_GONE)
        self._channel.write(data, asyncssh.EXTENDED_DATA_STDERR if stderr else None)

    def say(self, text: bytes) -> None:
        """Write a short text to stderr without waiting, if there is still somebody to read it."""
        if self._channel and not self._gone.is_set() and not self._channel.is_closing():
            self._channel.write(text, asyncssh.EXTENDED_DATA_STDERR)

    def write_eof(self) -> None:
        """Tell the client that nothing more comes."""
        if self._channel and not self._gone.is_set() and not self._channel.is_closing():
            self._channel.write_eof()

    async def gone(self) -> None:
        """Return when the channel is closed."""
        await self._gone.wait()

    async def close(self) -> None:
        """Close behind what was written; the window decides how fast that leaves."""
        if self._channel:
            self._channel.close()

    def abort(self) -> None:
        """Close at once."""
        if self._channel:
            self._channel.abort()


def _nothing() -> None:
    """Do nothing."""
