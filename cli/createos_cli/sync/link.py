"""The connection to a guest's half: whole messages over a socket, with a bound on everything that waits."""

from __future__ import annotations

import select
import socket
import ssl
from contextlib import suppress

from createos_cli.sync.failures import Disconnected
from createos_cli.sync.messages import HEAD, LONGEST_BYTES, garbage
from createos_cli.wire import Upgraded

# How long the other end may take for a sign of life while something is asked of it; a long read sends one every 2 s.
SILENCE_S = 60.0
FAREWELL_S = 2.0
_SEND_BYTES = 64 * 1024
_RECEIVE_BYTES = 256 * 1024


class Link:
    """Messages out are gathered until there is enough of them or `flush` is called; messages in come one by one."""

    def __init__(self, upgraded: Upgraded) -> None:
        self._socket = upgraded.socket
        self._socket.settimeout(SILENCE_S)
        self._in = bytearray(upgraded.first)
        self._at = 0
        self._out = bytearray()

    def fileno(self) -> int:
        """For select."""
        return self._socket.fileno()

    def close(self) -> None:
        """Hang up, after the guest has had a moment to tidy up."""
        with suppress(OSError):
            self._socket.settimeout(FAREWELL_S)
            self._socket.shutdown(socket.SHUT_WR)
            while self._socket.recv(_RECEIVE_BYTES):
                pass
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send soon."""
        self._out += data
        if len(self._out) >= _SEND_BYTES:
            self.flush()

    def flush(self) -> None:
        """Send everything that waits. Raises Disconnected."""
        if not self._out:
            return
        out, self._out = self._out, bytearray()
        try:
            self._socket.sendall(out)
        except OSError as exc:
            raise Disconnected(str(exc)) from exc

    def receive(self) -> tuple[int, bytes]:
        """Return type and payload of the next message. Raises Disconnected, also after a long silence."""
        while (found := self._next()) is None:
            self._fill()
        return found

    def is_ready(self) -> bool:
        """Say whether `receive` has something without waiting, or at least the beginning of it."""
        if len(self._in) - self._at >= HEAD.size:
            return True
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            return True
        return bool(select.select([self._socket], [], [], 0)[0])

    def _next(self) -> tuple[int, bytes] | None:
        if len(self._in) - self._at < HEAD.size:
            return None
        length, kind = HEAD.unpack_from(self._in, self._at)
        if not 1 <= length <= LONGEST_BYTES:
            raise garbage(f"a message of {length} bytes")
        end = self._at + HEAD.size - 1 + length
        if len(self._in) < end:
            return None
        payload = bytes(self._in[self._at + HEAD.size : end])
        self._at = end
        return kind, payload

    def _fill(self) -> None:
        del self._in[: self._at]
        self._at = 0
        try:
            data = self._socket.recv(_RECEIVE_BYTES)
        except OSError as exc:
            raise Disconnected(str(exc) or "the sandbox was silent for too long") from exc
        if not data:
            raise Disconnected("the connection was closed")
        self._in += data
