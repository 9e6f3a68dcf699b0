"""One stream of a channel: what flows both ways, how much of it, and how it ends."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Mapping
from contextlib import suppress

from createos_engine.drivers.channel.errors import AgentError, ChannelLost, ProtocolViolation
from createos_engine.drivers.channel.frames import MAX_PAYLOAD_BYTES, FrameType, encode
from createos_engine.drivers.channel.inbox import Data, Inbox
from createos_engine.drivers.channel.outlet import Outlet

INITIAL_WINDOW_BYTES = 262_144
BULK_WINDOW_BYTES = 1024 * 1024
MAX_CREDIT_BYTES = 16 * 1024 * 1024
CREDIT = struct.Struct(">I")

# Grants are sent in steps of a quarter of the window: rarely enough to cost nothing, early enough to never stall.
_STEPS = 4
_GUEST_SUBS = (1, 2)
_CONTROL_SUB = 3


class Stream:
    """One request and its answer. Iterate over its data, then ask for its `result()`.

    A piece without bytes says that its sub-channel is closed; a sub-channel may stay open until the stream ends.
    Data that is not read stays within the window; the guest waits then, and only this stream stands still.
    The methods named `*_received`, `ended` and `lost` are the channel's.
    """

    def __init__(self, number: int, outlet: Outlet) -> None:
        self.number = number
        self._outlet = outlet
        self._inbox = Inbox()
        self._changed = asyncio.Event()
        self._over = asyncio.Event()
        self._granted = asyncio.Event()
        self._sendable = INITIAL_WINDOW_BYTES
        self._receivable = INITIAL_WINDOW_BYTES
        self._window = INITIAL_WINDOW_BYTES
        self._widest = INITIAL_WINDOW_BYTES
        self._owed = 0
        self._control: dict[str, object] = {}
        self._discarding = False
        self._cancelled = False
        self._closed_subs: set[int] = set()
        self._result: dict[str, object] | AgentError | None = None
        self._lost_reason = ""

    @property
    def over(self) -> bool:
        """Whether the stream has ended or was lost."""
        return self._over.is_set()

    async def send(self, data: bytes | memoryview, sub: int = 0) -> None:
        """Send *data* as far as the guest grants, in turn with other streams.

        What is sent to a stream that has ended is dropped. Raises ChannelLost.
        """
        rest = memoryview(data)
        while rest and not self.over:
            if self._sendable == 0:
                self._granted.clear()
                await self._granted.wait()
                continue
            async with self._outlet as outlet:
                size = 0 if self.over else min(len(rest), self._sendable, MAX_PAYLOAD_BYTES)
                if size:
                    self._sendable -= size
                    outlet.write(encode(FrameType.DATA, self.number, rest[:size], flags=sub))
                    rest = rest[size:]
        self._raise_if_lost()

    def send_control(self, message: Mapping[str, object]) -> None:
        """Tell the work something that must not wait behind its input, which needs no credit (PROTOCOL.md, Control).

        While the guest does not read, the last message of each key is kept. Nothing is told to a stream that has ended.
        """
        self._control |= message
        self._tell()

    def _tell(self) -> None:
        if self._outlet.full:
            self._outlet.when_room(self._tell)
        elif self._control and not self.over and not self._cancelled:
            text = json.dumps(self._control, separators=(",", ":")).encode()
            self._control = {}
            self._outlet.write(encode(FrameType.DATA, self.number, text, flags=_CONTROL_SUB))

    def send_eof(self, sub: int = 0) -> None:
        """Tell the guest that nothing more comes on a sub-channel."""
        if not self.over:
            self._outlet.write(encode(FrameType.EOF, self.number, flags=sub))

    def cancel(self) -> None:
        """Ask the guest to end the work, and drop what still comes; iterating ends at once, whatever the guest does.

        Does nothing when the stream is over.
        """
        if self.over or self._cancelled:
            return
        self._cancelled = True
        self._discarding = True
        self._inbox.clear()
        self._changed.set()
        self._outlet.write(encode(FrameType.CANCEL, self.number))

    def discard(self) -> None:
        """Drop what was received and what will be, so that the guest can go on."""
        self._discarding = True
        self._inbox.clear()
        self._owed = self._window - self._receivable
        self._grant()

    def widen(self) -> None:
        """Let the guest send further ahead of a reader that takes what comes: for streams that only move bytes."""
        self._widest = BULK_WINDOW_BYTES

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> Data:
        while not self._inbox:
            self._raise_if_lost()
            if self.over or self._cancelled:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        piece = self._inbox.get()
        self._consumed(len(piece.data))
        return piece

    async def result(self) -> dict[str, object]:
        """Wait for the end and return the guest's result. Raises AgentError or ChannelLost.

        A guest that waits for its output to be read does not end: read or `discard()` it.
        """
        await self._over.wait()
        self._raise_if_lost()
        if isinstance(self._result, AgentError):
            raise AgentError(self._result.code, self._result.message)
        return self._result or {}

    async def stirred(self, patience_s: float) -> None:
        """Wait until something has come or the stream is over, at most so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self._changed.wait()

    async def wait(self) -> None:
        """Wait until the stream is over, however it ended."""
        await self._over.wait()

    def data_received(self, sub: int, data: bytes) -> None:
        """Keep a piece of output, or raise ProtocolViolation when it was not allowed."""
        self._require_open(sub)
        if len(data) > self._receivable:
            raise ProtocolViolation(f"stream {self.number} got more than the {self._receivable} bytes it had granted")
        self._receivable -= len(data)
        if self._discarding:
            self._consumed(len(data))
            return
        self._inbox.put(sub, data)
        self._changed.set()

    def eof_received(self, sub: int) -> None:
        """Note that a sub-channel is closed."""
        self._require_open(sub)
        self._closed_subs.add(sub)
        if not self._discarding:
            self._inbox.close(sub)
            self._changed.set()

    def credit_received(self, payload: bytes) -> None:
        """Allow more data to be sent. A grant of nothing is refused: it could be repeated without end."""
        (size,) = CREDIT.unpack(payload)
        if size == 0:
            raise ProtocolViolation(f"stream {self.number} was granted 0 bytes")
        if self._sendable + size > MAX_CREDIT_BYTES:
            raise ProtocolViolation(f"stream {self.number} was granted more than {MAX_CREDIT_BYTES} bytes")
        self._sendable += size
        self._granted.set()

    def ended(self, result: dict[str, object] | AgentError) -> None:
        """The guest's last frame came."""
        self._result = result
        self._wake()

    def lost(self, reason: str) -> None:
        """The channel is over."""
        self._lost_reason = reason
        self._wake()

    def _wake(self) -> None:
        for event in (self._over, self._changed, self._granted):
            event.set()

    def _require_open(self, sub: int) -> None:
        if sub not in _GUEST_SUBS or sub in self._closed_subs:
            raise ProtocolViolation(f"stream {self.number} got data on sub-channel {sub}, which is closed")

    def _raise_if_lost(self) -> None:
        if self._lost_reason:
            raise ChannelLost(self._lost_reason)

    def _consumed(self, size: int) -> None:
        self._owed += size
        if self._owed >= self._window // _STEPS:
            self._grant()

    def _grant(self) -> None:
        """Give the window back. While the guest does not read it gets no credit: frames for it must not pile up."""
        if self._outlet.full:
            self._outlet.when_room(self._grant)
        elif self._owed and not self.over and not self._cancelled:
            self._window, before = min(2 * self._window, self._widest), self._window
            grant = self._owed + self._window - before
            self._receivable += grant
            self._outlet.write(encode(FrameType.CREDIT, self.number, CREDIT.pack(grant)))
            self._owed = 0
