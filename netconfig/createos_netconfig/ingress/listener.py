"""The doors of ingress: https and http on the addresses of one host name."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence

from createos_netconfig.errors import NetconfigError
from createos_netconfig.ingress.authority import Contexts, server_context
from createos_netconfig.ingress.hostnames import place_of
from createos_netconfig.ingress.upstream import CHUNK_BYTES, Lease
from createos_netconfig.ingress.visitor import Visitor

MOST_VISITORS = 1024
_HANDSHAKE_S = 10.0
_LOOK_EVERY_S = 2.0
_BACKLOG = 512
LOOPBACK = "localhost"


class Listener:
    """Accepts visitors and ends those whose sandbox may no longer be visited."""

    def __init__(self, domain: str, lease: Lease, contexts: Contexts) -> None:
        self._domain, self._lease, self._contexts = domain, lease, contexts
        self._visitors: dict[Visitor, asyncio.Task[None]] = {}
        self._servers: list[asyncio.Server] = []
        self._watch: asyncio.Task[None] | None = None

    async def open(self, scheme: str, host: str, port: int) -> int:
        """Listen and return the port, which is a free one for 0; NetconfigError when it is taken.

        `localhost` means both loopback addresses, as browsers understand names below it.
        """
        addresses = ("127.0.0.1", "::1") if host == LOOPBACK else (host,)
        doors = _bind(addresses, port, f"{scheme} of ingress")
        context = self._tls() if scheme == "https" else None
        for door in doors:
            server = await asyncio.start_server(
                lambda reader, writer: self._arrived(scheme, reader, writer),
                sock=door,
                ssl=context,
                ssl_handshake_timeout=_HANDSHAKE_S if context else None,
                limit=CHUNK_BYTES,
                backlog=_BACKLOG,
            )
            self._servers.append(server)
        if self._watch is None:
            self._watch = asyncio.create_task(self._look(), name="ingress watch")
        return int(doors[0].getsockname()[1])

    async def close(self) -> None:
        """Close the doors and end all visits."""
        for server in self._servers:
            server.close()
        if self._watch:
            self._watch.cancel()
        for visitor in list(self._visitors):
            visitor.cut()
        if self._visitors:
            await asyncio.wait(list(self._visitors.values()), timeout=_LOOK_EVERY_S)
        self._servers, self._watch = [], None

    def _tls(self) -> ssl.SSLContext:
        context = server_context()

        def chosen(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
            if name is None or place_of(name, self._domain) is None:
                return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
            connection.context = self._contexts.of(name.lower())
            return None

        context.sni_callback = chosen
        return context

    async def _arrived(self, scheme: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._visitors) >= MOST_VISITORS:
            writer.transport.abort()
            return
        visitor = Visitor(reader, writer, scheme=scheme, domain=self._domain, lease=self._lease)
        task = asyncio.current_task()
        assert task is not None
        self._visitors[visitor] = task
        try:
            await visitor.serve()
        finally:
            del self._visitors[visitor]

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            for visitor in list(self._visitors):
                if visitor.target and not visitor.target.open():
                    visitor.cut()


def _bind(addresses: Sequence[str], port: int, what: str) -> list[socket.socket]:
    """Bind one port on all addresses that this machine has of them; a free one for 0."""
    doors: list[socket.socket] = []
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        door = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            door.bind((address, doors[0].getsockname()[1] if doors else port))
        except OSError as exc:
            door.close()
            if doors and family == socket.AF_INET6:
                continue
            for other in doors:
                other.close()
            raise NetconfigError(
                f"{what} cannot listen on {address} port {port}: {exc.strerror}", "set another port, or end what has it"
            ) from exc
        doors.append(door)
    return doors
