"""HTTP/1.1 between a guest and a server, taken apart and put together again: what a request is, is decided here alone.

Bytes that are passed on unread could mean one request to us and two to the server. So both sides are spoken to by a
state machine (h11), and every request of a connection is checked before the server hears of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import h11

from createos_netconfig.rules import as_address, normal_name

CHUNK_BYTES = 256 * 1024
_MOST_HEAD_BYTES = 64 * 1024
_HEAD_WAIT_S = 15.0
_IDLE_S = 300.0
# After these the connection would speak of other hosts in words that we do not read.
_REFUSED_UPGRADES = ("h2c", "h2", "tls")

Dial = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
Check = Callable[[str], str]
"""host name → why it is refused, nothing when it is allowed"""


class Refused(Exception):
    """A request that is not passed on."""


@dataclass
class _Side:
    """One connection and its state machine."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    machine: h11.Connection

    async def next(self, wait_s: float | None = None) -> h11.Event | type[h11.PAUSED] | type[h11.NEED_DATA]:
        """Return the next event of the other end."""
        while True:
            event = self.machine.next_event()
            if event is not h11.NEED_DATA:
                return event
            async with asyncio.timeout(wait_s):
                self.machine.receive_data(await self.reader.read(CHUNK_BYTES))

    async def send(self, event: h11.Event) -> None:
        """Send an event and wait for room."""
        data = self.machine.send(event)
        if data:
            self.writer.write(data)
            await self.writer.drain()

    @property
    def trailing(self) -> bytes:
        return bytes(self.machine.trailing_data[0])


class HttpRelay:
    """One connection of a guest. `check` is asked for every request, `dial` for the server of the first allowed one."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes, check: Check, dial: Dial
    ) -> None:
        self._guest = _Side(reader, writer, h11.Connection(h11.SERVER, _MOST_HEAD_BYTES))
        self._guest.machine.receive_data(first)
        self._server: _Side | None = None
        self._check = check
        self._dial = dial

    async def run(self) -> tuple[_Side, _Side] | None:
        """Relay until one side ends; return both sides when they have agreed on another protocol."""
        wait_s = _HEAD_WAIT_S
        try:
            while True:
                request = await self._next_request(wait_s)
                if not isinstance(request, h11.Request):
                    return None
                if await self._exchange(request):
                    assert self._server
                    return self._guest, self._server
                if not self._next_cycle():
                    return None
                wait_s = _IDLE_S
        except h11.LocalProtocolError:
            return None
        except (h11.RemoteProtocolError, Refused) as exc:
            await self._refuse(str(exc))
            return None
        finally:
            if self._server and self._server.machine.our_state is not h11.SWITCHED_PROTOCOL:
                self._server.writer.close()

    async def _next_request(self, wait_s: float) -> object:
        """Return what the guest says next; None when the server has left a connection that nobody used."""
        asking = asyncio.ensure_future(self._guest.next(wait_s))
        waiting: list[asyncio.Future[object]] = [asking]  # type: ignore[list-item]
        if self._server:
            waiting.append(asyncio.ensure_future(self._server.reader.read(1)))
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            return asking.result() if asking.done() else None
        finally:
            for each in waiting:
                each.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def _exchange(self, request: h11.Request) -> bool:
        """Pass on one request and its answer; tell whether the protocol was switched."""
        reason = self._check(host_of(request))
        if reason:
            raise Refused(reason)
        if self._server is None:
            reader, writer = await self._dial()
            self._server = _Side(reader, writer, h11.Connection(h11.CLIENT, _MOST_HEAD_BYTES))
        await self._server.send(_passed_on(request))
        body = asyncio.ensure_future(self._pass_body(self._server))
        try:
            return await self._pass_answer(self._server)
        finally:
            body.cancel()
            await asyncio.gather(body, return_exceptions=True)

    async def _pass_body(self, server: _Side) -> None:
        while True:
            event = await self._guest.next()
            if not isinstance(event, h11.Data | h11.EndOfMessage):
                return
            await server.send(event)
            if isinstance(event, h11.EndOfMessage):
                return

    async def _pass_answer(self, server: _Side) -> bool:
        while True:
            event = await server.next()
            if isinstance(event, h11.InformationalResponse) and event.status_code == 101:
                await self._guest.send(_plain(event))
                return True
            if not isinstance(event, h11.Response | h11.InformationalResponse | h11.Data | h11.EndOfMessage):
                return False
            await self._guest.send(_plain(event))
            if isinstance(event, h11.EndOfMessage):
                return False

    def _next_cycle(self) -> bool:
        """Tell whether another request may follow on the same connections."""
        assert self._server
        machines = self._guest.machine, self._server.machine
        if any((each.our_state, each.their_state) != (h11.DONE, h11.DONE) for each in machines):
            return False
        for each in machines:
            each.start_next_cycle()
        return True

    async def _refuse(self, reason: str) -> None:
        if self._guest.machine.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        text = f"createos: {reason}\n".encode()
        headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(text))), ("Connection", "close")]
        try:
            await self._guest.send(h11.Response(status_code=403, reason=b"Forbidden", headers=headers))
            await self._guest.send(h11.Data(data=text))
            await self._guest.send(h11.EndOfMessage())
        except h11.LocalProtocolError:
            return


def host_of(request: h11.Request) -> str:
    """Return whom a request is for; Refused when it does not say so in one way only."""
    if request.method == b"CONNECT":
        raise Refused("CONNECT is not passed on")
    if {b"transfer-encoding", b"content-length"} <= {name for name, _ in request.headers}:
        raise Refused("a request must say in one way how long it is")
    hosts = [value.decode("ascii", "replace") for name, value in request.headers if name == b"host"]
    if len(hosts) != 1:
        raise Refused("a request must name one host")
    host = _name(hosts[0])
    target = request.target.decode("ascii", "replace")
    if not target.startswith("/") and target != "*":
        scheme, found, rest = target.partition("://")
        if not found or scheme.lower() not in ("http", "https") or _name(_authority(rest)) != host:
            raise Refused("a request must name one host")
    return host


def _authority(rest: str) -> str:
    for mark in "/?#":
        rest = rest.partition(mark)[0]
    if "@" in rest:
        raise Refused("a request must name one host")
    return rest


def _name(authority: str) -> str:
    host, colon, port = authority.rpartition(":")
    if not colon or authority.endswith("]"):
        host, port = authority, ""
    if port and not port.isdecimal():
        raise Refused("a request must name one host")
    address = as_address(host)
    name = str(address) if address else normal_name(host)
    if not name:
        raise Refused("a request must name one host")
    return name


def _passed_on(request: h11.Request) -> h11.Request:
    """Return the request without an offer to go on in a protocol that would name other hosts."""
    raw = list(request.headers.raw_items())
    offers = [part for name, value in raw if name.lower() == b"upgrade" for part in value.lower().split(b",")]
    if any(offer.strip().decode("ascii", "replace").partition("/")[0] in _REFUSED_UPGRADES for offer in offers):
        raw = [
            (name, _without_upgrade(name, value))
            for name, value in raw
            if name.lower() not in (b"upgrade", b"http2-settings")
        ]
        raw = [(name, value) for name, value in raw if value or name.lower() != b"connection"]
    return h11.Request(method=request.method, target=request.target, headers=raw)


def _without_upgrade(name: bytes, value: bytes) -> bytes:
    if name.lower() != b"connection":
        return value
    kept = [part.strip() for part in value.split(b",") if part.strip().lower() not in (b"upgrade", b"http2-settings")]
    return b", ".join(kept)


def _plain(event: h11.Event) -> h11.Event:
    """Return an answer's head with its headers as the server wrote them."""
    if isinstance(event, h11.Response):
        return h11.Response(status_code=event.status_code, reason=event.reason, headers=event.headers.raw_items())
    if isinstance(event, h11.InformationalResponse):
        return h11.InformationalResponse(
            status_code=event.status_code, reason=event.reason, headers=event.headers.raw_items()
        )
    return event
