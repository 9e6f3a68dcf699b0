"""Frames of the guest protocol as bytes and back (images/agent/PROTOCOL.md). Pure: no I/O, no clock."""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple

from createos_engine.drivers.channel.errors import ProtocolViolation

MAGIC = 0xC05B
HEADER = struct.Struct(">HBBII")
MAX_FRAME_BYTES = 65_536
MAX_PAYLOAD_BYTES = MAX_FRAME_BYTES - HEADER.size
MORE = 1

RESET_MARKER = b"createos-reset-1"
READY_MARKER = b"createos-ready-1"
NONCE_BYTES = 16
GREETING_BYTES = len(READY_MARKER) + NONCE_BYTES

# A whole frame always fits behind the rest of the frame before it.
_BUFFER_BYTES = 2 * MAX_FRAME_BYTES


class FrameType(IntEnum):
    """The third byte of a frame."""

    RESET = 0x01
    READY = 0x02
    OPEN = 0x10
    DATA = 0x11
    EOF = 0x12
    CREDIT = 0x13
    EXIT = 0x14
    ERROR = 0x15
    CANCEL = 0x16


class Frame(NamedTuple):
    """One frame. What its payload means depends on its type."""

    type: FrameType
    flags: int
    stream: int
    payload: bytes


class _Rule(NamedTuple):
    """What the header of one type may say: highest flags, shortest and longest payload, whether it has a stream."""

    type: FrameType
    flags: int
    shortest: int
    longest: int
    numbered: bool = True


_RULES: dict[int, _Rule] = {
    rule.type.value: rule
    for rule in (
        _Rule(FrameType.RESET, 0, GREETING_BYTES, GREETING_BYTES, numbered=False),
        _Rule(FrameType.READY, 0, GREETING_BYTES, MAX_PAYLOAD_BYTES, numbered=False),
        _Rule(FrameType.OPEN, MORE, 0, MAX_PAYLOAD_BYTES),
        _Rule(FrameType.DATA, 2, 1, MAX_PAYLOAD_BYTES),
        _Rule(FrameType.EOF, 2, 0, 0),
        _Rule(FrameType.CREDIT, 0, 4, 4),
        _Rule(FrameType.EXIT, 0, 0, MAX_PAYLOAD_BYTES),
        _Rule(FrameType.ERROR, 0, 0, MAX_PAYLOAD_BYTES),
        _Rule(FrameType.CANCEL, 0, 0, 0),
    )
}


def encode(kind: FrameType, stream: int, payload: bytes | memoryview = b"", *, flags: int = 0) -> bytes:
    """Return one frame as bytes. A payload above MAX_PAYLOAD_BYTES is a bug of the caller (ValueError)."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ValueError(f"{len(payload)} bytes do not fit into one frame; at most {MAX_PAYLOAD_BYTES} do")
    return b"".join((HEADER.pack(MAGIC, kind, flags, stream, len(payload)), payload))


class Decoder:
    """Frames from bytes that come in any pieces. Holds one buffer of fixed size and never grows.

    Feed it, or let a transport write into `space()` and tell how much with `filled()`, then `take()`.
    """

    def __init__(self) -> None:
        self._buffer = bytearray(_BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._start = 0
        self._end = 0
        self.pending = False
        """Whether `take()` would return frames or raise without more bytes."""

    def feed(self, data: bytes | memoryview) -> list[Frame]:
        """Return the frames that *data* completes.

        Raises ProtocolViolation at the first byte of something that is no frame, and from then on always; frames
        before it are returned first, and the call after that raises.
        """
        rest = memoryview(data)
        frames = self.take() if self.pending else []
        while rest and not self.pending:
            room = self.space()
            size = min(len(room), len(rest))
            room[:size] = rest[:size]
            self.filled(size)
            rest = rest[size:]
            frames += self._take_valid() if frames else self.take()
        return frames

    def space(self) -> memoryview:
        """Return where the next bytes go; never empty while `pending` is false."""
        if self._start:
            size = self._end - self._start
            self._view[:size] = self._view[self._start : self._end]
            self._start, self._end = 0, size
        return self._view[self._end :]

    def filled(self, size: int) -> None:
        """Tell that *size* bytes were written into `space()`."""
        self._end += size
        self.pending = True

    def take(self, limit: int = _BUFFER_BYTES) -> list[Frame]:
        """Return at most *limit* complete frames. Raises ProtocolViolation when the bytes begin with no frame."""
        frames = self._take_valid(limit)
        if not frames and self.pending:
            raise ProtocolViolation(self._fault())
        return frames

    def hunt(self, nonce: bytes) -> Frame | None:
        """Drop bytes until the READY with *nonce*; return it when it is complete.

        Bytes of an earlier connection may come first and may begin anywhere in a frame.
        """
        needle = READY_MARKER + nonce
        self.pending = False
        while (found := self._buffer.find(needle, self._start, self._end)) >= 0:
            head = found - HEADER.size
            if head >= self._start and self._is_ready(head):
                self._start = head
                return next(iter(self.take(1)), None)
            self._start = found + 1
        self._start = max(self._start, self._end - (HEADER.size + len(needle) - 1))
        return None

    def _take_valid(self, limit: int = _BUFFER_BYTES) -> list[Frame]:
        """Return frames up to the first fault; `pending` is true when the limit or a fault was met."""
        frames: list[Frame] = []
        self.pending = True
        while len(frames) < limit:
            begin = self._start + HEADER.size
            if begin > self._end:
                self.pending = False
                break
            magic, kind, flags, stream, length = HEADER.unpack_from(self._buffer, self._start)
            rule = _RULES.get(kind)
            if (
                rule is None
                or magic != MAGIC
                or flags > rule.flags
                or not rule.shortest <= length <= rule.longest
                or (stream > 0) is not rule.numbered
            ):
                break
            if begin + length > self._end:
                self.pending = False
                break
            frames.append(Frame(rule.type, flags, stream, bytes(self._view[begin : begin + length])))
            self._start = begin + length
        return frames

    def _is_ready(self, head: int) -> bool:
        magic, kind, flags, stream, length = HEADER.unpack_from(self._buffer, head)
        fixed = (magic, kind, flags, stream) == (MAGIC, FrameType.READY, 0, 0)
        return fixed and GREETING_BYTES <= length <= MAX_PAYLOAD_BYTES

    def _fault(self) -> str:
        """Return what is wrong with the header that the bytes begin with."""
        magic, kind, flags, stream, length = HEADER.unpack_from(self._buffer, self._start)
        rule = _RULES.get(kind)
        if magic != MAGIC:
            return f"a frame begins with {magic:#06x} instead of {MAGIC:#06x}"
        if rule is None:
            return f"a frame has the unknown type {kind:#04x}"
        if not rule.shortest <= length <= rule.longest:
            return f"a frame {rule.type.name} says it has {length} bytes; {rule.shortest} to {rule.longest} are allowed"
        return f"a frame {rule.type.name} has flags {flags:#04x} and stream {stream}, which it cannot have"
