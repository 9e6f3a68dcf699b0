"""The floor of every transfer: the channel of a guest with nothing on the host but a socket.

The daemon is stopped meanwhile, since a channel has room for one client; the sandbox runs on. Upwards, zeros are sent
that the agent drops without looking into them (PROTOCOL.md, hunting). Downwards, a `source` stream is read and nothing
is decoded.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import time
from pathlib import Path

MIB = 2**20
_RESET, _READY = b"createos-reset-1", b"createos-ready-1"
_HEADER = struct.Struct(">HBBII")
_PIECE = bytes(MIB)
_MAGIC, _RESET_TYPE, _OPEN, _CREDIT = 0xC05B, 1, 0x10, 0x13
_CREDIT_BYTES = 4 * MIB
_DEADLINE_S = 60.0


class RawChannel:
    """A client that knows just enough of the protocol to begin."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(_DEADLINE_S)
        self._socket.connect(str(path))
        self._greet(bytes(65_536))

    def close(self) -> None:
        """Let go of the channel."""
        self._socket.close()

    def upward(self, size: int) -> float:
        """Return how many seconds *size* bytes take to be read by the agent."""
        begun = time.perf_counter()
        for _ in range(size // MIB):
            self._socket.sendall(_PIECE)
        self._greet(b"")
        return time.perf_counter() - begun

    def downward(self, size: int) -> float:
        """Return how many seconds the agent takes to send *size* bytes."""
        begun = time.perf_counter()
        self._send(_OPEN, json.dumps({"kind": "source", "bytes": size}).encode(), stream=1)
        seen, granted = 0, 262_144
        buffer = bytearray(MIB)
        while seen < size:
            while granted - seen < 2 * _CREDIT_BYTES and granted < size:
                self._send(_CREDIT, struct.pack(">I", _CREDIT_BYTES), stream=1)
                granted += _CREDIT_BYTES
            seen += self._socket.recv_into(buffer)
        took = time.perf_counter() - begun
        self._greet(b"")
        return took

    def _greet(self, before: bytes) -> None:
        """Begin an epoch and wait for its READY."""
        nonce = os.urandom(16)
        self._socket.sendall(before + _frame(_RESET_TYPE, _RESET + nonce))
        seen = b""
        while _READY + nonce not in seen:
            seen = seen[-65_536:] + self._socket.recv(MIB)

    def _send(self, kind: int, payload: bytes, stream: int) -> None:
        self._socket.sendall(_frame(kind, payload, stream))


def _frame(kind: int, payload: bytes, stream: int = 0) -> bytes:
    return _HEADER.pack(_MAGIC, kind, 0, stream, len(payload)) + payload
