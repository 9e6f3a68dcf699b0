"""Web traffic under name rules: the name is seen before a server is, and again with every request (design 10).

An address list alone lets a forbidden name through that shares an address with an allowed one. The kernel sends new
connections to learned addresses on ports 80 and 443 here; the destination stays the address that the guest chose.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address

from createos_netconfig import client_hello
from createos_netconfig.closed import Closed
from createos_netconfig.dns_listener import one_port
from createos_netconfig.http_relay import CHUNK_BYTES, HttpRelay
from createos_netconfig.member import Member
from createos_netconfig.reasons import Reason
from createos_netconfig.rules import Address

_CONNECTIONS, _CONNECTIONS_OF_ONE = 4096, 512
_FIRST_WAIT_S, _DIAL_WAIT_S = 15.0, 20.0
_SO_ORIGINAL_DST = 80
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(eq=False)
class _Flow:
    """One connection of a guest; `names` are those it was let through for."""

    member: Member
    address: Address
    port: int
    task: asyncio.Task[None]
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    names: set[str] = field(default_factory=set)

    def allowed(self, name: str) -> bool:
        return self.member.rules.allows_name(name, self.port)

    def abort(self) -> None:
        for writer in self.writers:
            _reset(writer)
        self.task.cancel()


class Relay:
    """Listens from `open` to `close`; `port` is where the firewall must send connections."""

    def __init__(self, member: Callable[[Address], Member | None], closed: Closed) -> None:
        self._member = member
        self._closed = closed
        self._flows: set[_Flow] = set()
        self._of: Counter[int] = Counter()
        self._servers: list[asyncio.Server] = []
        self.port = 0

    async def open(self) -> None:
        """Begin to listen; NetconfigError when there is no port."""
        self.port, sockets = one_port((socket.SOCK_STREAM,))
        for each in sockets:
            each.listen(256)
            self._servers.append(await asyncio.start_server(self._connected, sock=each, limit=CHUNK_BYTES))

    async def close(self) -> None:
        """Stop listening and end all connections: nobody checks them any more."""
        for server in self._servers:
            server.close()
        tasks = [flow.task for flow in self._flows]
        for flow in list(self._flows):
            flow.abort()
        await asyncio.gather(*tasks, return_exceptions=True)

    def changed(self, member: Member) -> None:
        """End the connections that a member's rules do not allow any more."""
        for flow in list(self._flows):
            gone = self._member(member.endpoint.ipv4) is not member
            if flow.member is member and (gone or not all(map(flow.allowed, flow.names))):
                flow.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        flow = self._flow(writer)
        if flow is None:
            _reset(writer)
            return
        self._flows.add(flow)
        self._of[flow.member.endpoint.slot] += 1
        try:
            await self._serve(flow, reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            _reset(writer)
        except asyncio.CancelledError:
            _reset(writer)
        finally:
            self._flows.discard(flow)
            self._of[flow.member.endpoint.slot] -= 1
            for each in flow.writers:
                each.close()

    def _flow(self, writer: asyncio.StreamWriter) -> _Flow | None:
        """Return who has connected to what, None for anybody who may not or has too many connections already."""
        task, peer = asyncio.current_task(), writer.get_extra_info("peername")
        member = self._member(ip_address(str(peer[0]).partition("%")[0])) if peer else None
        if member is None or task is None or len(self._flows) >= _CONNECTIONS:
            return None
        target = _original_target(writer.get_extra_info("socket"))
        if target is None or self._of[member.endpoint.slot] >= _CONNECTIONS_OF_ONE:
            return None
        return _Flow(member, *target, task, [writer])

    async def _serve(self, flow: _Flow, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _keep_alive(writer)
        async with asyncio.timeout(_FIRST_WAIT_S):
            first = await reader.read(CHUNK_BYTES)
        if not first:
            return
        if first[0] == client_hello.HANDSHAKE:
            await self._tls(flow, reader, writer, first)
            return
        both = await HttpRelay(
            reader, writer, first, lambda name: self._why_not(flow, name), lambda: self._dial(flow)
        ).run()
        if both:
            guest, server = both
            server.writer.write(guest.trailing)
            writer.write(server.trailing)
            await _splice((reader, writer), (server.reader, server.writer))

    async def _tls(self, flow: _Flow, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> None:
        try:
            async with asyncio.timeout(_FIRST_WAIT_S):
                while (hello := client_hello.read(data)) is None and len(data) < client_hello.MOST_BYTES:
                    more = await reader.read(CHUNK_BYTES)
                    if not more:
                        return
                    data += more
        except client_hello.Malformed:
            hello = None
        hidden = hello is None or hello.hidden or not hello.name
        if hello is None or hidden:
            flow.member.denied(Reason.HIDDEN_NAME, str(flow.address), "tcp", flow.port)
        if hello is None or hidden or self._why_not(flow, hello.name):
            writer.write(client_hello.UNRECOGNIZED_NAME)
            await writer.drain()
            return
        server = await self._dial(flow)
        server[1].write(data)
        await _splice((reader, writer), server)

    def _why_not(self, flow: _Flow, name: str) -> str:
        """Return why a connection may not go on under a name, nothing when it may."""
        if flow.allowed(name):
            flow.names.add(name)
            return ""
        flow.member.denied(Reason.FORBIDDEN_NAME, name, "tcp", flow.port)
        return f"no egress rule of this sandbox allows {name}:{flow.port}"

    async def _dial(self, flow: _Flow) -> Streams:
        """Connect to where the guest wanted to; what is closed stays closed, whoever dials."""
        if self._closed.why(flow.address):
            raise ConnectionRefusedError
        async with asyncio.timeout(_DIAL_WAIT_S):
            reader, writer = await asyncio.open_connection(str(flow.address), flow.port, limit=CHUNK_BYTES)
        flow.writers.append(writer)
        _keep_alive(writer)
        return reader, writer


async def _splice(one: Streams, other: Streams) -> None:
    """Copy both ways until both have ended; the end of one way is passed on as one."""
    await asyncio.gather(_copy(one[0], other[1]), _copy(other[0], one[1]))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(CHUNK_BYTES):
        writer.write(data)
        await writer.drain()
    with suppress(OSError):
        writer.write_eof()


def _original_target(connection: socket.socket) -> tuple[Address, int] | None:
    """Return where a connection was going before the firewall sent it here; None for one that came by itself."""
    version4 = connection.family == socket.AF_INET
    level, size = (socket.IPPROTO_IP, 16) if version4 else (socket.IPPROTO_IPV6, 28)
    try:
        raw = connection.getsockopt(level, _SO_ORIGINAL_DST, size)
    except OSError:
        return None
    address = ip_address(raw[4:8] if version4 else raw[8:24])
    port = int.from_bytes(raw[2:4])
    here = connection.getsockname()
    return None if (str(address), port) == (here[0].partition("%")[0], here[1]) else (address, port)


def _keep_alive(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection so that the other end notices at once."""
    with suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()
