"""The first message of TLS (RFC 8446 4.1.2), as far as it says for whom a connection is."""

from __future__ import annotations

from dataclasses import dataclass

from createos_netconfig.rules import normal_name

HANDSHAKE, _CLIENT_HELLO = 0x16, 1
_SERVER_NAME, _ENCRYPTED_CLIENT_HELLO = 0, 0xFE0D
_HOST_NAME = 0
MOST_BYTES = 65_536
UNRECOGNIZED_NAME = b"\x15\x03\x03\x00\x02\x02\x70"
"""A fatal alert: clients say what was wrong instead of "connection reset"."""


@dataclass(frozen=True)
class ClientHello:
    """`name` is empty when there is none or more than one; `hidden` says that the true name is encrypted."""

    name: str = ""
    hidden: bool = False


class Malformed(Exception):
    """This is no ClientHello."""


def read(data: bytes) -> ClientHello | None:
    """Return what a connection begins with, None when more bytes are needed; raise Malformed when it is no TLS."""
    message = _message(data)
    return None if message is None else _hello(_Cursor(message))


def _message(data: bytes) -> bytes | None:
    """Return the first handshake message, put together from as many records as it takes."""
    message, at = b"", 0
    while True:
        if len(message) >= 4:
            length = 4 + int.from_bytes(message[1:4])
            if message[0] != _CLIENT_HELLO or length > MOST_BYTES:
                raise Malformed
            if len(message) >= length:
                return message[4:length]
        if len(data) < at + 5:
            if len(data) > at and data[at] != HANDSHAKE:
                raise Malformed
            return None
        size = int.from_bytes(data[at + 3 : at + 5])
        if data[at] != HANDSHAKE or data[at + 1] != 3 or not 0 < size <= 2**14:
            raise Malformed
        message += data[at + 5 : at + 5 + size]
        if len(data) < at + 5 + size:
            return None
        at += 5 + size


class _Cursor:
    """Reads forward; Malformed when there is less than was said."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        taken = self._data[self._at : self._at + count]
        if len(taken) < count:
            raise Malformed
        self._at += count
        return taken

    def vector(self, length_bytes: int) -> _Cursor:
        return _Cursor(self.take(int.from_bytes(self.take(length_bytes))))

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count))

    @property
    def at_end(self) -> bool:
        return self._at >= len(self._data)

    @property
    def rest(self) -> bytes:
        return self._data[self._at :]


def _hello(body: _Cursor) -> ClientHello:
    body.take(2 + 32)
    for length_bytes in (1, 2, 1):
        body.vector(length_bytes)
    if body.at_end:
        return ClientHello()
    extensions, names, hidden = body.vector(2), [], False
    while not extensions.at_end:
        kind, content = extensions.number(2), extensions.vector(2)
        hidden = hidden or kind == _ENCRYPTED_CLIENT_HELLO
        names += _server_names(content) if kind == _SERVER_NAME else []
    return ClientHello(normal_name(names[0]) if len(names) == 1 else "", hidden)


def _server_names(content: _Cursor) -> list[str]:
    entries, names = content.vector(2), []
    while not entries.at_end:
        if entries.number(1) != _HOST_NAME:
            raise Malformed
        names.append(entries.vector(2).rest.decode("ascii", "replace"))
    return names
