"""An endpoint of S3 in memory, and a guest that speaks HTTP to the relay in front of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import h11
import httpx
from createos_engine.disk_words import Bucket, Keys
from createos_engine.s3.relay import Relay

from tests.fakes.duplex import FakeDuplex

BUCKET = Bucket("http://s3.test:9000", "photos", "eu-test-1", path_style=True)
KEYS = Keys("AKIDREAL", "the-real-secret")

GET = b"GET /photos/a/b HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: made-up\r\nCookie: c=d\r\n\r\n"
HEAD = GET.replace(b"GET", b"HEAD")
PUT = b"PUT /photos/a/b HTTP/1.1\r\nHost: x\r\n"

Answer = Callable[[httpx.Request], Awaitable[httpx.Response]]


@dataclass
class Endpoint(httpx.AsyncBaseTransport):
    """Answers as it is told, and keeps what it was asked."""

    answer: Answer
    asked: list[httpx.Request] = field(default_factory=list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return await self.answer(request)


class Guest:
    """The other end of a connection to the relay. `health` is what the relay said of the endpoint."""

    def __init__(self, answer: Answer, sub_path: str = "", keys: Callable[[], Keys] = lambda: KEYS) -> None:
        self.endpoint = Endpoint(answer)
        self.health: list[str] = []
        self.duplex = FakeDuplex()
        self._relay = Relay(BUCKET, keys, sub_path, on_health=self.health.append, transport=self.endpoint)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Guest]:
        """Let the relay serve the connection; at the end the guest hangs up and the relay must have ended it."""
        serving = asyncio.create_task(self._relay.serve(self.duplex))
        try:
            yield self
            self.say(b"")
            await asyncio.wait_for(serving, 60)
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    def say(self, data: bytes) -> None:
        """Send bytes; none at all is the end."""
        self.duplex.coming.put_nowait(data)

    async def ended(self) -> str:
        """Wait until the relay has hung up, and return how."""
        await until(lambda: self.duplex.end != "")
        return self.duplex.end

    async def answers(self, *methods: str) -> list[tuple[int, dict[str, str], bytes]]:
        """Wait for the whole answers to requests with these methods: status, headers, body."""
        client = h11.Connection(h11.CLIENT)
        fed, found = 0, []
        for method in methods:
            client.send(h11.Request(method=method, target="/", headers=[("host", "x"), ("content-length", "0")]))
            client.send(h11.EndOfMessage())
            status, headers, body = 0, {}, b""
            while not isinstance(event := client.next_event(), h11.EndOfMessage):
                if event is h11.NEED_DATA:
                    await until(lambda seen=fed: len(self.duplex.sent) > seen or self.duplex.end != "")
                    client.receive_data(self.duplex.sent[fed:])
                    fed = len(self.duplex.sent)
                elif isinstance(event, h11.Response):
                    status = event.status_code
                    headers = {name.decode(): value.decode() for name, value in event.headers}
                elif isinstance(event, h11.Data):
                    body += event.data
            found.append((status, headers, body))
            if client.our_state is h11.DONE and client.their_state is h11.DONE:
                client.start_next_cycle()
        return found


async def until(condition: Callable[[], bool]) -> None:
    """Let the others run until something is the case."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0)


def always(status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
    """Return an endpoint that says the same to everything."""

    async def answer(request: httpx.Request) -> httpx.Response:
        async for _ in request.stream:
            pass
        framing = {"content-length": str(len(body))}
        return httpx.Response(status, headers=framing | (headers or {}), stream=Pieces([body]))

    return answer


class Pieces(httpx.AsyncByteStream):
    """A body in pieces; an exception among them is raised when its turn comes."""

    def __init__(self, pieces: list[bytes | Exception]) -> None:
        self._pieces = pieces
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    async def aclose(self) -> None:
        self.closed = True
