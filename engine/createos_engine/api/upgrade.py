"""HTTP/1.1 at the socket: who the peer is, how much may come that is no body, and offers of other protocols.

A request may offer a protocol that we do not speak (Java's client offers h2c with its first request); it is served as
if it had not (RFC 9110, 7.8). httptools takes the body of such a request for the other protocol, so the head is read
again without the offer.

An offer that a route may take (offers.py) is served in the same way; what comes behind its head is kept for the route,
and never read as another request: it may be anything, and whoever wrote it need not be the one whose credential the
connection carries. So a connection whose offer was not taken is closed after the answer.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
from http import HTTPStatus
from typing import cast

import httptools
import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from createos_engine.api.asgi import PEER_UID
from createos_engine.api.envelope import failure
from createos_engine.api.offers import OFFER, Offer, offered_protocol

log = structlog.get_logger(__name__)

# What may arrive without completing a head or bringing a piece of a body: long URLs, headers, trailers.
OVERHEAD_LIMIT_BYTES = 65_536
# struct ucred of unix(7): pid, uid, gid
_UCRED = struct.Struct("3i")


class PeerProtocol(HttpToolsProtocol):
    """HTTP that knows the peer of a unix socket, bounds what it keeps and fails in the words of the contract."""

    _peer_uid: int | None = None
    _in_head = False
    _progress = False
    _overhead_bytes = 0
    _offer: Offer | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Ask the kernel for the peer's uid; it cannot be forged."""
        super().connection_made(transport)
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family == socket.AF_UNIX:
            credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
            self._peer_uid = _UCRED.unpack(credentials)[1]

    def data_received(self, data: bytes) -> None:
        """Parse what came; refuse what is no HTTP or never gets anywhere."""
        if self._offer:
            self._offer.hold(data)
            return
        self._unset_keepalive_if_required()
        self._progress = False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._decline(data[offer.args[0] :])
            return
        except httptools.HttpParserError as exc:
            log.debug("no HTTP", reason=str(exc))
            self.send_400_response("this is not HTTP/1.1 as this server understands it")
            return
        self._overhead_bytes = 0 if self._progress else self._overhead_bytes + len(data)
        if self._overhead_bytes > OVERHEAD_LIMIT_BYTES:
            text = f"URL and headers may have {OVERHEAD_LIMIT_BYTES} bytes; send large input in the body"
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, text)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Close, unless a route may still take the connection over: the other way is of use to it."""
        if self._offer:
            self._offer.ended = True
        return self._offer is not None

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be read, and hang up."""
        self._refuse(HTTPStatus.BAD_REQUEST, msg)

    def on_message_begin(self) -> None:
        """Put the uid where auth.py finds it."""
        super().on_message_begin()
        self._in_head = True
        if self._peer_uid is not None:
            cast("dict[str, object]", self.scope)[PEER_UID] = self._peer_uid

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; what comes after the body may not change who asked for what."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin to serve, unless the head must be read again."""
        self._progress, self._in_head = True, False
        if not self.parser.should_upgrade():
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Pass a piece of the body on."""
        self._progress = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a body."""
        self._progress = True
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def _decline(self, rest: bytes) -> None:
        """Read the head again without its offer, and *rest* as the body that it announces."""
        method, version = self.parser.get_method(), self.parser.get_http_version()
        if method == b"CONNECT":
            self.send_400_response("this server is no proxy")
            return
        protocol = offered_protocol(method, version, self.headers)
        kept = [(name, value) for name, value in self.headers if name != b"upgrade"]
        lines = [method + b" " + self.url + b" HTTP/" + version.encode(), *(b": ".join(pair) for pair in kept)]
        self.parser = httptools.HttpRequestParser(self)
        head = b"\r\n".join(lines) + b"\r\n\r\n"
        if not protocol:
            self.data_received(head + rest)
            return
        self.data_received(head)
        self._offer = Offer(protocol, self)
        self._offer.hold(rest)
        # The task that serves the request has not run yet.
        cast("dict[str, object]", self.scope)[OFFER] = self._offer

    def _refuse(self, status: HTTPStatus, text: str) -> None:
        body = bytes(failure(status, text).body)
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nx-request-id: {secrets.token_hex(8)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
