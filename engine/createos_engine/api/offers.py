"""Offers of another protocol (wire-api 9.1): a route that has checked everything takes the connection over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

from fastapi import Depends, Request
from fastapi.responses import Response
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from createos_engine.api.duplex import HIGH_WATER_BYTES, RawConnection
from createos_engine.duplex import Duplex
from createos_engine.errors import Invalid

OFFER = "createos.offer"
TCP_TUNNEL, WEBSOCKET = "tcp-tunnel", "websocket"
# Reading stops at the high water mark; a client that still gets so much in is not waiting for its answer.
_HELD_LIMIT_BYTES = 4 * HIGH_WATER_BYTES
_METHODS = {TCP_TUNNEL: b"POST", WEBSOCKET: b"GET"}

Headers = Sequence[tuple[bytes, bytes]]


class Offer:
    """A request that may become a raw connection; it is answered as every other one unless `accept` is called."""

    def __init__(self, protocol: str, http: HttpToolsProtocol) -> None:
        self.protocol = protocol
        self.ended = False
        """Whether the client has sent end-of-file."""
        self._http = http
        self._cycle = http.cycle
        self._held = bytearray()
        self._cycle.keep_alive = False

    def hold(self, data: bytes) -> None:
        """Keep what came behind the head, within bounds."""
        self._held += data
        if len(self._held) > _HELD_LIMIT_BYTES:
            self._http.transport.abort()
        elif len(self._held) >= HIGH_WATER_BYTES:
            self._http.flow.pause_reading()

    def accept(self, headers: Headers = ()) -> Duplex:
        """Answer 101 and return the raw connection, whose first bytes are those that came behind the head.

        Never fails: of a client that has gone away the Duplex tells. The route returns `taken_over()` at its end.
        """
        http, transport = self._http, self._http.transport
        # From here on uvicorn drops what the framework says to this request.
        self._cycle.disconnected = True
        self._cycle.message_event.set()
        http.connections.discard(http)
        raw = RawConnection(transport, http.connections)
        raw.paused(reading=http.flow.read_paused, writing=http.flow.write_paused)
        transport.set_protocol(raw)
        said = [(b"connection", b"Upgrade"), (b"upgrade", self.protocol.encode()), *headers]
        lines = [b"HTTP/1.1 101 Switching Protocols", *(b": ".join(pair) for pair in said)]
        transport.write(b"\r\n".join(lines) + b"\r\n\r\n")
        self._hand_over(raw)
        return raw

    def _hand_over(self, raw: RawConnection) -> None:
        if self._held:
            raw.data_received(bytes(self._held))
            self._held.clear()
        if self.ended:
            raw.eof_received()
        if self._http.transport.is_closing():
            raw.connection_lost(None)
        # The parser and its connection hold each other.
        self._http.parser = None  # type: ignore[assignment]


def offered_protocol(method: bytes, version: str, headers: Headers) -> str:
    """Return what this request offers and a route may take: never with a body, which would be read as the protocol."""
    given = {name: value.strip().lower() for name, value in headers}
    if version != "1.1" or given.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in given:
        return ""
    words = {word.strip().decode("latin-1") for word in given.get(b"upgrade", b"").split(b",")}
    return next((name for name, its in _METHODS.items() if name in words and its == method), "")


def offer_of(protocol: str) -> Callable[[Request], Offer]:
    """Return what makes a route take *protocol*; a request that does not offer it is Invalid."""

    def offered(request: Request) -> Offer:
        offer = request.scope.get(OFFER)
        if not isinstance(offer, Offer) or offer.protocol != protocol:
            raise Invalid(f"send Connection: Upgrade, Upgrade: {protocol} and no body; this is no plain HTTP request")
        return offer

    return offered


def taken_over() -> Response:
    """Return what a route returns when the raw connection has ended: the log's status, sent to nobody."""
    return Response(status_code=101)


TunnelOffer = Annotated[Offer, Depends(offer_of(TCP_TUNNEL))]
WebSocketOffer = Annotated[Offer, Depends(offer_of(WEBSOCKET))]
