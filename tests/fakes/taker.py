"""An app whose routes take connections over, and what a test needs to speak to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from createos_engine.api.asgi import Entrance
from createos_engine.api.envelope import engine_error
from createos_engine.api.offers import TunnelOffer, WebSocketOffer, taken_over
from createos_engine.duplex import Duplex
from createos_engine.errors import EngineError
from fastapi import FastAPI
from fastapi.responses import Response

HEAD = (
    b"POST /raw HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: tcp-tunnel\r\nContent-Length: 0\r\n\r\n"
)
BEHIND = b"GET /plain HTTP/1.1\r\nHost: localhost\r\n\r\n"
Connect = Callable[[], Coroutine[None, None, tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
Work = Callable[[Duplex], Coroutine[None, None, None]]


async def echo(duplex: Duplex) -> None:
    while data := await duplex.read():
        await duplex.write(data)
    duplex.write_eof()
    await duplex.close()


class Taker:
    """What the route does; `begun` and `ended` tell the test how far it is."""

    def __init__(self) -> None:
        self.work: Work = echo
        self.refusal: EngineError | None = None
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()
        self.failure: BaseException | None = None
        self.plain = 0

    async def take(self, offer: TunnelOffer) -> Response:
        self.begun.set()
        await self.may_answer.wait()
        if self.refusal:
            raise self.refusal
        duplex = offer.accept()
        try:
            await self.work(duplex)
        except BaseException as exc:
            self.failure = exc
            duplex.abort()
            if not isinstance(exc, ConnectionError):
                raise
        finally:
            self.ended.set()
        return taken_over()

    async def take_websocket(self, offer: WebSocketOffer) -> Response:
        await self.work(offer.accept([(b"sec-websocket-accept", b"x")]))
        return taken_over()

    async def answer(self) -> dict[str, str]:
        self.plain += 1
        return {"status": "success"}


def raw_app(taker: Taker) -> FastAPI:
    """Return the app: POST /raw, GET /ws, and /plain that is never taken."""
    app = FastAPI()
    app.add_api_route("/raw", taker.take, methods=["POST"])
    app.add_api_route("/ws", taker.take_websocket, methods=["GET"])
    app.add_api_route("/plain", taker.answer, methods=["GET", "POST"])
    app.add_exception_handler(EngineError, engine_error)
    app.add_middleware(Entrance, allowed_hosts=())
    return app


async def answer_of(reader: asyncio.StreamReader) -> tuple[int, str]:
    """Return the status and the head of the next answer."""
    async with asyncio.timeout(60):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    return int(head.split()[1]), head
