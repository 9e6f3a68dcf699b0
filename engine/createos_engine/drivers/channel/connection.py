"""One connection to a machine's channel socket: bytes in, frames out, a bounded piece of work at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from createos_engine.drivers.channel.errors import ProtocolViolation
from createos_engine.drivers.channel.frames import GREETING_BYTES, Decoder, Frame
from createos_engine.drivers.channel.outlet import Outlet

# Under a millisecond of work, then everybody else in the event loop has a turn.
_FRAMES_PER_TURN = 256


class Connection(asyncio.BufferedProtocol):
    """First hunts for the READY that answers *nonce*, then hands every frame to whoever is attached."""

    def __init__(self, nonce: bytes) -> None:
        self._loop = asyncio.get_running_loop()
        self._nonce = nonce
        self._decoder = Decoder()
        self._take_frame: Callable[[Frame], None] | None = None
        self._tell_lost: Callable[[str], None] | None = None
        self._reason = ""
        self._gone = asyncio.Event()
        self._transport: asyncio.Transport
        self.outlet: Outlet
        self.ready: asyncio.Future[bytes] = self._loop.create_future()
        """The JSON of READY; ConnectionError when the connection ends before it."""
        self.received_bytes = 0

    def attach(self, take_frame: Callable[[Frame], None], tell_lost: Callable[[str], None]) -> None:
        """Let the frames after READY flow. `take_frame` may raise ProtocolViolation; `tell_lost` is called once."""
        self._take_frame = take_frame
        self._tell_lost = tell_lost
        if self._reason:
            tell_lost(self._reason)
        else:
            self._work()

    def end(self, reason: str) -> None:
        """End the connection at once, telling why. What was not sent is dropped."""
        if self._reason:
            return
        self._reason = reason
        self._transport.abort()
        self.outlet.resume()
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(reason))
            self.ready.exception()
        if self._tell_lost:
            self._tell_lost(reason)

    async def close(self, reason: str) -> None:
        """End the connection and wait until the socket is closed."""
        self.end(reason)
        await self._gone.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Part of asyncio's protocol."""
        self._transport = cast(asyncio.Transport, transport)
        self.outlet = Outlet(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Part of asyncio's protocol."""
        self.end(f"the machine closed the channel: {exc}" if exc else "the machine closed the channel")
        self._gone.set()

    def pause_writing(self) -> None:
        """Part of asyncio's protocol."""
        self.outlet.pause()

    def resume_writing(self) -> None:
        """Part of asyncio's protocol."""
        self.outlet.resume()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        """Part of asyncio's protocol."""
        return self._decoder.space()

    def buffer_updated(self, nbytes: int) -> None:
        """Part of asyncio's protocol."""
        self.received_bytes += nbytes
        self._decoder.filled(nbytes)
        if self.ready.done():
            self._work()
        else:
            self._hunt()

    def _hunt(self) -> None:
        found = self._decoder.hunt(self._nonce)
        if found:
            self._transport.pause_reading()
            self.ready.set_result(found.payload[GREETING_BYTES:])

    def _work(self) -> None:
        """Hand over some frames; when there are more, come back after the others in the event loop."""
        if self._reason or self._take_frame is None:
            return
        try:
            for frame in self._decoder.take(_FRAMES_PER_TURN):
                self._take_frame(frame)
        except ProtocolViolation as exc:
            self.end(f"the guest broke the protocol: {exc.reason}")
            return
        if self._decoder.pending:
            self._transport.pause_reading()
            self._loop.call_soon(self._work)
        else:
            self._transport.resume_reading()
