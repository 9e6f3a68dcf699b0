"""The way to the guest: frames of all streams in turn, within what the transport can take."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

# Enough to keep the wire busy; all that is queued here delays the next small frame.
_HIGH_WATER_BYTES = 131_072


class Outlet:
    """Where frames are written. `async with` waits for a turn and for room; turns are given first come, first served.

    A holder writes one frame of at most 64 KiB and lets go, so that streams alternate. Small control frames may be
    written without a turn: at most a few per stream are ever under way.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._turn = asyncio.Lock()
        self._room = asyncio.Event()
        self._room.set()
        self._deferred: set[Callable[[], None]] = set()
        transport.set_write_buffer_limits(high=_HIGH_WATER_BYTES)

    async def __aenter__(self) -> Outlet:
        await self._turn.acquire()
        try:
            await self._room.wait()
        except BaseException:
            self._turn.release()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._turn.release()

    @property
    def full(self) -> bool:
        """Whether the transport has more than it can take just now."""
        return not self._room.is_set()

    @property
    def empty(self) -> bool:
        """Whether everything written has left the process."""
        return self._transport.get_write_buffer_size() == 0

    def write(self, data: bytes) -> None:
        """Write whole frames; they are dropped after the connection has ended."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def when_room(self, action: Callable[[], None]) -> None:
        """Do *action* once, as soon as there is room again. The same action is kept once."""
        self._deferred.add(action)

    def pause(self) -> None:
        """The transport is full."""
        self._room.clear()

    def resume(self) -> None:
        """The transport has room again, or is gone, which must keep nobody waiting."""
        self._room.set()
        deferred, self._deferred = self._deferred, set()
        for action in deferred:
            action()
