"""WebSockets (RFC 6455) over a connection that was taken over: binary messages as a Duplex of plain bytes.

A browser can set no header of ours, so its key comes as an offered sub-protocol, `createos.key.<key>`, beside
`createos.shell`, which is the one that is chosen: a key in the URL would end in logs and histories. Host and Origin are
checked as for every request (asgi.py).
"""

from __future__ import annotations

import base64
import hashlib
from collections import deque
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage
from wsproto.frame_protocol import CloseReason

from createos_engine.api.offers import Headers
from createos_engine.duplex import Duplex
from createos_engine.errors import Invalid

SHELL = "createos.shell"
KEY_PREFIX = "createos.key."

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_VERSION = "13"
_KEY_BYTES = 16


@dataclass(frozen=True)
class Handshake:
    """What the answer 101 says."""

    headers: Headers


def sub_protocols(request: Request) -> list[str]:
    """Return the sub-protocols that are offered."""
    given = request.headers.getlist("sec-websocket-protocol")
    return [word.strip() for line in given for word in line.split(",") if word.strip()]


def handshake(request: Request) -> Handshake:
    """Check the opening of RFC 6455, 4.2.1; Invalid says what is missing."""
    key = request.headers.get("sec-websocket-key", "").strip()
    if request.headers.get("sec-websocket-version", "").strip() != _VERSION:
        raise Invalid(f"a WebSocket must say Sec-WebSocket-Version: {_VERSION}")
    if not _is_key(key):
        raise Invalid("a WebSocket must send a Sec-WebSocket-Key of 16 bytes in base64")
    accept = base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest())
    headers = [(b"sec-websocket-accept", accept)]
    offered = sub_protocols(request)
    if SHELL in offered:
        headers.append((b"sec-websocket-protocol", SHELL.encode()))
    elif offered:
        raise Invalid(f"offer the sub-protocol {SHELL}, or none at all")
    return Handshake(headers)


Greeting = Annotated[Handshake, Depends(handshake)]


class WebSocket:
    """A Duplex whose bytes are those of the binary messages, wherever these begin and end."""

    def __init__(self, duplex: Duplex) -> None:
        self._duplex = duplex
        self._frames = Connection(ConnectionType.SERVER)
        self._events: deque[Event] = deque()

    async def read(self) -> bytes:
        """Return what the next messages bring; empty when the client has closed."""
        while not self._closing():
            if self._events:
                if data := await self._act(self._events.popleft()):
                    return data
            elif more := await self._duplex.read():
                self._frames.receive_data(more)
                self._events.extend(self._frames.events())
            else:
                return b""
        return b""

    async def write(self, data: bytes) -> None:
        """Send a binary message."""
        await self._send(BytesMessage(data=data))

    def write_eof(self) -> None:
        """Do nothing: a WebSocket has no end of one direction."""

    async def gone(self) -> None:
        """Return when the client has gone away."""
        await self._duplex.gone()

    async def close(self) -> None:
        """Say goodbye and hang up."""
        await self._goodbye(CloseReason.NORMAL_CLOSURE)
        await self._duplex.close()

    def abort(self) -> None:
        """Hang up at once."""
        self._duplex.abort()

    async def _act(self, event: Event) -> bytes:
        if isinstance(event, BytesMessage):
            return bytes(event.data)
        if isinstance(event, Ping):
            await self._send(event.response())
        elif isinstance(event, TextMessage):
            await self._goodbye(CloseReason.UNSUPPORTED_DATA)
        elif isinstance(event, CloseConnection):
            await self._goodbye(
                CloseReason(event.code) if event.code in set(CloseReason) else CloseReason.NORMAL_CLOSURE
            )
        return b""

    def _closing(self) -> bool:
        """Whether a close frame was sent; nothing that comes after it counts."""
        return self._frames.state in (ConnectionState.LOCAL_CLOSING, ConnectionState.CLOSED)

    async def _goodbye(self, reason: CloseReason) -> None:
        """Send a close frame unless one was sent; a reason that only ever is local cannot be sent."""
        sendable = reason not in (CloseReason.NO_STATUS_RCVD, CloseReason.ABNORMAL_CLOSURE)
        await self._send(CloseConnection(code=reason if sendable else CloseReason.NORMAL_CLOSURE))

    async def _send(self, event: Event) -> None:
        if self._frames.state is ConnectionState.OPEN or (
            self._frames.state is ConnectionState.REMOTE_CLOSING and isinstance(event, CloseConnection)
        ):
            await self._duplex.write(self._frames.send(event))


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == _KEY_BYTES
    except ValueError:
        return False
