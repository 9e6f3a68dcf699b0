"""The sockets that guests' questions come in on: UDP and TCP, for every interface at once, and bounded.

The kernel sends what goes to port 53 of a gateway address here (egress_base); the sockets are transparent, because the
firewall lets packets of guests through to no other kind.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Awaitable
from ipaddress import ip_address
from typing import Protocol

from createos_netconfig.addresses import GATEWAY_V4
from createos_netconfig.dns_messages import LONGEST_QUERY
from createos_netconfig.errors import NetconfigError
from createos_netconfig.rules import Address


class Answerer(Protocol):
    """What makes answers."""

    def __call__(self, wire: bytes, source: Address, *, stream: bool) -> Awaitable[bytes | None]:
        """Return the answer to a message, if it gets one; `stream` says that it came over TCP."""


_AT_ONCE, _AT_ONCE_OF_ONE = 1024, 64
_CONNECTIONS, _CONNECTIONS_OF_ONE = 256, 8
_QUESTION_WAIT_S = 10.0
_LENGTH = struct.Struct("!H")
_ANCILLARY_BYTES = 256
_IPV6_PKTINFO, _IPV6_RECVPKTINFO, _IPV6_TRANSPARENT = 50, 49, 75
_IP_TRANSPARENT, _IP_FREEBIND = 19, 15
_SO_RCVBUFFORCE, _RECEIVE_BYTES = 33, 4 * 2**20
_TRIES = 20


def transparent_socket(kind: int, version: int, port: int) -> socket.socket:
    """Return a socket on the gateway's address (IPv6: on all, since it is link-local on every interface)."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    made = socket.socket(family, kind | socket.SOCK_NONBLOCK)
    try:
        if version == 4:
            made.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
            made.setsockopt(socket.IPPROTO_IP, _IP_TRANSPARENT, 1)
        else:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made.setsockopt(socket.IPPROTO_IPV6, _IPV6_TRANSPARENT, 1)
            made.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
        if kind == socket.SOCK_DGRAM:
            made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BYTES)
        else:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((str(GATEWAY_V4), port) if version == 4 else ("::", port))
    except OSError:
        made.close()
        raise
    return made


def has_ipv6() -> bool:
    """Tell whether sockets of IPv6 can be made here."""
    try:
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).close()
    except OSError:
        return False
    return True


def one_port(kinds: tuple[int, ...]) -> tuple[int, list[socket.socket]]:
    """Return a free port and a socket on it for each kind and version."""
    versions = (4, 6) if has_ipv6() else (4,)
    reason = ""
    for _ in range(_TRIES):
        made: list[socket.socket] = []
        port = 0
        try:
            for version in versions:
                for kind in kinds:
                    made.append(transparent_socket(kind, version, port))
                    port = made[0].getsockname()[1]
        except OSError as exc:
            reason = exc.strerror or str(exc)
            for each in made:
                each.close()
        else:
            return port, made
    raise NetconfigError(f"no port on the gateway's address could be had: {reason}", "run createosd as root")


class DnsListener:
    """Listens from `open` to `close`; `port` is where the firewall must send questions."""

    def __init__(self, answer: Answerer) -> None:
        self._answer = answer
        self._busy: Counter[Address] = Counter()
        self._connections: Counter[Address] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []
        self._sockets: list[socket.socket] = []
        self.port = 0

    async def open(self) -> None:
        """Begin to listen; NetconfigError when there is no port."""
        self.port, sockets = one_port((socket.SOCK_DGRAM, socket.SOCK_STREAM))
        for each in sockets:
            if each.type == socket.SOCK_DGRAM:
                self._sockets.append(each)
                asyncio.get_running_loop().add_reader(each.fileno(), self._receive, each)
            else:
                each.listen(128)
                self._servers.append(await asyncio.start_server(self._connected, sock=each, limit=LONGEST_QUERY))

    async def close(self) -> None:
        """Stop listening and forget who is waiting."""
        for each in self._sockets:
            asyncio.get_running_loop().remove_reader(each.fileno())
            each.close()
        for server in self._servers:
            server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _receive(self, listener: socket.socket) -> None:
        try:
            wire, ancillary, _, peer = listener.recvmsg(LONGEST_QUERY, _ANCILLARY_BYTES)
        except OSError:
            return
        source = ip_address(peer[0].partition("%")[0])
        if len(self._tasks) >= _AT_ONCE or self._busy[source] >= _AT_ONCE_OF_ONE:
            return
        pktinfo = [(level, kind, data) for level, kind, data in ancillary if kind == _IPV6_PKTINFO]
        self._start(self._reply(listener, wire, source, pktinfo, peer))

    async def _reply(
        self, listener: socket.socket, wire: bytes, source: Address, pktinfo: list[tuple[int, int, bytes]], peer: object
    ) -> None:
        self._busy[source] += 1
        try:
            answer = await self._answer(wire, source, stream=False)
            if answer is not None:
                listener.sendmsg([answer], pktinfo, 0, peer)  # type: ignore[arg-type]
        except OSError:
            return
        finally:
            self._busy[source] -= 1
            if not self._busy[source]:
                del self._busy[source]

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        source = ip_address(str(writer.get_extra_info("peername")[0]).partition("%")[0])
        full = self._connections.total() >= _CONNECTIONS or self._connections[source] >= _CONNECTIONS_OF_ONE
        task = asyncio.current_task()
        if full or task is None:
            writer.transport.abort()
            return
        self._connections[source] += 1
        self._tasks.add(task)
        try:
            await self._talk(reader, writer, source)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass
        finally:
            self._tasks.discard(task)
            self._connections[source] -= 1
            if not self._connections[source]:
                del self._connections[source]
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, source: Address) -> None:
        while True:
            async with asyncio.timeout(_QUESTION_WAIT_S):
                (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
                if length > LONGEST_QUERY:
                    return
                wire = await reader.readexactly(length)
            answer = await self._answer(wire, source, stream=True)
            if answer is None:
                return
            writer.write(_LENGTH.pack(len(answer)) + answer)
            async with asyncio.timeout(_QUESTION_WAIT_S):
                await writer.drain()

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
