"""The messages of a `sync` stream, as bytes (PROTOCOL.md, "sync")."""

from __future__ import annotations

import json
import os
import struct
from enum import Enum, IntEnum

from createos_cli.sync.entries import Entry, Kind, Version, shared_mode
from createos_cli.sync.failures import Stop

FORMAT = 1
LONGEST_BYTES = 256 * 1024
BODY_BYTES = 128 * 1024
HEAD = struct.Struct(">IB")
_ENTRY = struct.Struct(">BHQqqQ")
_ID = struct.Struct(">I")
_U16 = struct.Struct(">H")
_U64 = struct.Struct(">Q")
_KINDS = frozenset(Kind)


class Type(IntEnum):
    """What a message is."""

    START = 0x01
    SCAN = 0x02
    HASH = 0x03
    GET = 0x04
    PUT = 0x05
    BODY = 0x06
    COMMIT = 0x07
    ABORT = 0x08
    MKDIR = 0x09
    SYMLINK = 0x0A
    CHMOD = 0x0B
    REMOVE = 0x0C
    RENAME = 0x0D
    HELLO = 0x81
    ENTRY = 0x82
    DONE = 0x83
    FAILED = 0x84
    DATA = 0x85
    HASHED = 0x86
    CHANGED = 0x87
    ALIVE = 0x88


class Use(Enum):
    """What a stream is for: a synchronisation keeps away from system directories, a copy does what was asked for."""

    SYNC = "sync"
    COPY = "copy"


def message(kind: Type, *parts: bytes) -> bytes:
    """Put a message together."""
    return HEAD.pack(1 + sum(map(len, parts)), kind) + b"".join(parts)


def start(root: str, *, create: bool, user: str, skip: list[str], use: Use) -> bytes:
    """Return the first message."""
    wanted = {"root": root, "create": create, "user": user, "skip": skip, "use": use.value}
    return message(Type.START, json.dumps(wanted).encode())


def request(kind: Type, number: int, expect: Entry, *texts: str, mode: int | None = None) -> bytes:
    """Return a request about an entry; *mode* is the one it shall have."""
    head = _ENTRY.pack(expect.kind, expect.mode if mode is None else mode, *expect.version)
    return message(kind, _ID.pack(number), head, *map(_text, texts))


def numbered(kind: Type, number: int, rest: bytes = b"") -> bytes:
    """Return a message that has a number and bytes."""
    return message(kind, _ID.pack(number), rest)


def commit(number: int, size: int) -> bytes:
    """Return the end of a file that is sent."""
    return message(Type.COMMIT, _ID.pack(number), _U64.pack(size))


def _text(text: str) -> bytes:
    data = os.fsencode(text)
    return _U16.pack(len(data)) + data


class Fields:
    """Takes a payload of the guest apart. Anything that does not fit is Stop: this is not our agent."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._at = 0

    def number(self) -> int:
        """A u32."""
        found: int = self._unpack(_ID)[0]
        return found

    def code(self) -> int:
        """A u8."""
        return self._take(1)[0]

    def entry(self) -> tuple[Entry, bool]:
        """An entry with the mode that both sides share, and whether the mode sent is 1: a sign and no permission."""
        kind, mode, *version = self._unpack(_ENTRY)
        if kind not in _KINDS:
            raise garbage("an entry of an unknown kind")
        return Entry(Kind(kind), shared_mode(Kind(kind), mode), Version(*version)), mode == 1

    def text(self) -> str:
        """A text: a path, or words for people."""
        return os.fsdecode(self._take(self._unpack(_U16)[0]))

    def rest(self) -> bytes:
        """Everything that is left."""
        return self._payload[self._at :]

    def _unpack(self, form: struct.Struct) -> tuple[int, ...]:
        return form.unpack(self._take(form.size))

    def _take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._payload):
            raise garbage("a message that is too short")
        taken, self._at = self._payload[self._at : end], end
        return taken


def garbage(what: str) -> Stop:
    """Return the end of a synchronisation with something that does not speak the protocol."""
    return Stop(f"the sandbox sent {what}: it is not the agent of this engine, or it was tampered with")
