"""A proxy on loopback with one sandbox behind it, and programs that a test writes as a function."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from createos_netconfig.ingress.authority import Authority, Contexts
from createos_netconfig.ingress.hostnames import Place
from createos_netconfig.ingress.listener import Listener
from createos_netconfig.ingress.upstream import Refused, Target

LABEL = "01k5zq7m3v8w2x4y6z9abcdefg"
DOMAIN = "sandbox.localhost"
Program = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Proxy:
    """What a test talks to: `port` is plain http; `program` answers for the sandbox; `open` may be taken away."""

    authority: Authority
    program_port: int = 0
    http_port: int = 0
    https_port: int = 0
    open: bool = True
    heads: list[bytes] = field(default_factory=list)
    connections: int = 0
    program: Program | None = None
    visits: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def host(self) -> str:
        """The Host header that leads to the program."""
        return f"{LABEL}-{self.program_port}.{DOMAIN}"

    async def connect(self, *, tls: bool = False) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection to the proxy."""
        if tls:
            context = ssl.create_default_context(cadata=self.authority.pem)
            visit = await asyncio.open_connection("127.0.0.1", self.https_port, ssl=context, server_hostname=self.host)
        else:
            visit = await asyncio.open_connection("127.0.0.1", self.http_port)
        self.visits.append(visit[1])
        return visit

    async def ask(self, head: str, body: bytes = b"", *, tls: bool = False) -> bytes:
        """Send one request, ask for the end of the connection and return everything that comes."""
        reader, writer = await self.connect(tls=tls)
        lines = head.replace("HOST", self.host)
        writer.write(
            f"{lines}\r\nConnection: close\r\n\r\n".replace("\n", "\r\n").replace("\r\r", "\r").encode() + body
        )
        async with asyncio.timeout(60):
            answer = await reader.read(-1)
        writer.close()
        return answer

    @asynccontextmanager
    async def lease(self, place: Place) -> AsyncIterator[Target]:
        """Know one sandbox."""
        if place.label != LABEL:
            raise Refused(404, "there is no such sandbox")
        if not self.open:
            raise Refused(503, "sandbox box is paused; createos sandbox resume box")
        yield Target("127.0.0.1", place.port, lambda: self.open)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Be the program of the test."""
        self.connections += 1
        assert self.program is not None
        try:
            await self.program(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def proxy(tmp_path: Path) -> AsyncIterator[Proxy]:
    """A proxy whose program answers every request with its own head."""
    proxy = Proxy(Authority(tmp_path / "ca", DOMAIN))

    async def echo_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            proxy.heads.append(head)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(head) + head)
            await writer.drain()

    proxy.program = echo_head
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.program_port = server.sockets[0].getsockname()[1]
    listener = Listener(DOMAIN, proxy.lease, Contexts(proxy.authority))
    proxy.http_port = await listener.open("http", "127.0.0.1", 0)
    proxy.https_port = await listener.open("https", "127.0.0.1", 0)
    yield proxy
    for visit in proxy.visits:
        # A TLS transport that was closed twice cannot be aborted any more (CPython 3.11, sslproto.py).
        with suppress(OSError, AttributeError):
            visit.transport.abort()
            await visit.wait_closed()
    await listener.close()
    server.close()
