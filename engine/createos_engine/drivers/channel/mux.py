"""Many streams over the one connection to a guest agent (images/agent/PROTOCOL.md)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from createos_engine.drivers.channel.answers import parse_error, parse_object
from createos_engine.drivers.channel.connection import Connection
from createos_engine.drivers.channel.errors import AgentError, ChannelLost, ProtocolViolation
from createos_engine.drivers.channel.frames import (
    GREETING_BYTES,
    MAX_PAYLOAD_BYTES,
    MORE,
    READY_MARKER,
    Frame,
    FrameType,
    encode,
)
from createos_engine.drivers.channel.handshake import Handshake, Ready
from createos_engine.drivers.channel.stream import Stream
from createos_engine.errors import GuestFailed, TooLarge

MAX_REQUEST_BYTES = 4 * 1024 * 1024
MAX_STREAMS = 4_096

_LAST_STREAM = 2**32 - 1


class Channel:
    """The only owner of a machine's channel socket. Whatever the guest does, at worst the channel ends."""

    def __init__(self, connection: Connection, handshake: Handshake, ready: Ready) -> None:
        """Use `connect()`."""
        self.ready = ready
        self._connection = connection
        self._outlet = connection.outlet
        self._greeting = READY_MARKER + handshake.nonce
        self._readies_due = handshake.resets_sent - 1
        self._streams: dict[int, Stream] = {}
        self._last = 0
        self._lost_reason = ""
        self._on_lost: Callable[[str], None] | None = None

    @classmethod
    async def connect(cls, path: Path, *, deadline_s: float, on_lost: Callable[[str], None] | None = None) -> Channel:
        """Connect and wait for the agent; raise GuestFailed that says what is missing when the deadline is over.

        `on_lost(reason)` is called once if the channel ends without `close()`.
        """
        handshake = Handshake(path)
        connection, ready = await handshake.run(deadline_s)
        channel = cls(connection, handshake, ready)
        channel._on_lost = on_lost
        connection.attach(channel._frame_received, channel._connection_lost)
        return channel

    @property
    def connected(self) -> bool:
        """Whether streams can be opened."""
        return not self._lost_reason

    async def open(self, request: Mapping[str, object]) -> Stream:
        """Send a request and return its stream. Raises TooLarge, ChannelLost, GuestFailed when too many are open."""
        body = json.dumps(request, separators=(",", ":")).encode()
        if len(body) > MAX_REQUEST_BYTES:
            raise TooLarge(f"the request has {len(body)} bytes; at most {MAX_REQUEST_BYTES} fit into a guest's request")
        async with self._outlet:
            stream = self._new_stream()
            self._write_part(stream, body, 0)
        try:
            for begin in range(MAX_PAYLOAD_BYTES, len(body), MAX_PAYLOAD_BYTES):
                async with self._outlet:
                    self._write_part(stream, body, begin)
        except BaseException:
            # A request that is cut is malformed, and gets the answer without which the stream would never end.
            self._outlet.write(encode(FrameType.OPEN, stream.number))
            stream.cancel()
            raise
        return stream

    async def close(self) -> None:
        """End the connection; streams that are open get ChannelLost. The guest waits for the next one."""
        self._on_lost = None
        await self._connection.close("the engine closed the channel")

    def _new_stream(self) -> Stream:
        if self._lost_reason:
            raise ChannelLost(self._lost_reason)
        if len(self._streams) >= MAX_STREAMS:
            raise GuestFailed(f"the guest agent has not finished {MAX_STREAMS} requests", hint="let some of them end")
        if self._last == _LAST_STREAM:
            self._connection.end("all stream numbers of this connection are used up")
            raise ChannelLost(self._lost_reason)
        self._last += 1
        stream = self._streams[self._last] = Stream(self._last, self._outlet)
        return stream

    def _write_part(self, stream: Stream, body: bytes, begin: int) -> None:
        """Write one part of a request; the agent may have refused it after the part before."""
        end = begin + MAX_PAYLOAD_BYTES
        if not stream.over:
            more = MORE if end < len(body) else 0
            self._outlet.write(encode(FrameType.OPEN, stream.number, body[begin:end], flags=more))

    def _frame_received(self, frame: Frame) -> None:
        """Act on one frame of the guest, or raise ProtocolViolation."""
        kind = frame.type
        if kind is FrameType.READY:
            self._ready_received(frame)
            return
        stream = self._streams.get(frame.stream)
        if stream is None:
            had = "has ended" if frame.stream <= self._last else "was never opened"
            raise ProtocolViolation(f"a frame {kind.name} came for stream {frame.stream}, which {had}")
        if kind is FrameType.DATA:
            stream.data_received(frame.flags, frame.payload)
        elif kind is FrameType.EOF:
            stream.eof_received(frame.flags)
        elif kind is FrameType.CREDIT:
            stream.credit_received(frame.payload)
        elif kind is FrameType.EXIT:
            self._ended(stream, parse_object(frame.payload, "an EXIT"))
        elif kind is FrameType.ERROR:
            self._ended(stream, parse_error(frame.payload))
        else:
            raise ProtocolViolation(f"a frame {kind.name} came, which only the host may send")

    def _ended(self, stream: Stream, result: dict[str, object] | AgentError) -> None:
        del self._streams[stream.number]
        stream.ended(result)

    def _ready_received(self, frame: Frame) -> None:
        """Accept one READY for each RESET that was sent while the guest was not answering yet."""
        if frame.payload[:GREETING_BYTES] != self._greeting:
            raise ProtocolViolation("a READY came that answers no RESET of this connection")
        if self._readies_due == 0:
            raise ProtocolViolation("more READYs came than RESETs were sent")
        self._readies_due -= 1

    def _connection_lost(self, reason: str) -> None:
        self._lost_reason = reason
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            stream.lost(reason)
        if self._on_lost:
            self._on_lost(reason)
