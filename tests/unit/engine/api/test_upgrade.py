"""What arrives at the socket before it is a request: offers of other protocols, floods and nonsense."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from createos_engine.api.server import ApiServer
from createos_engine.api.upgrade import OVERHEAD_LIMIT_BYTES
from createos_engine.words import State
from fastapi import FastAPI

from tests.fakes.rows import sandbox
from tests.fakes.services import KEY, FakeWorld

BODY = b'{"cmd":"echo","args":["hi"]}'
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
H2C = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n"


@pytest.fixture
async def server(app: FastAPI, tmp_path: Path) -> AsyncIterator[ApiServer]:
    running = ApiServer(app, unix_socket=tmp_path / "api.sock", socket_group="", host="127.0.0.1", port=0)
    await running.start()
    yield running
    await running.stop(0)


class Wire:
    """A connection on which a test says every byte."""

    def __init__(self, server: ApiServer) -> None:
        self._port = int(server.url.rpartition(":")[2])

    async def __aenter__(self) -> Wire:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def say(self, *pieces: bytes) -> None:
        """Send pieces so that each arrives by itself."""
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()
            await asyncio.sleep(0.02)

    async def answer(self) -> tuple[int, dict[str, str], dict[str, object]]:
        """Return status, headers and JSON of the next answer."""
        async with asyncio.timeout(60):
            first, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
            body = await self._reader.readexactly(int(headers["content-length"]))
        return int(first.split()[1]), headers, json.loads(body)

    async def hung_up(self) -> bool:
        """Return whether the server closes the connection."""
        async with asyncio.timeout(60):
            return await self._reader.read() == b""


def head(line: str, *headers: str) -> bytes:
    """Return the head of a request with a good key."""
    return "\r\n".join([f"{line} HTTP/1.1", "Host: localhost", f"X-Api-Key: {KEY}", *headers, "", ""]).encode()


@pytest.mark.parametrize(
    ("length", "pieces"),
    [
        (f"Content-Length: {len(BODY)}", [BODY]),
        (f"Content-Length: {len(BODY)}", [BODY[:7], BODY[7:]]),
        ("Transfer-Encoding: chunked", [CHUNKED]),
        ("Transfer-Encoding: chunked", [CHUNKED[:9], CHUNKED[9:]]),
    ],
)
@pytest.mark.parametrize("together", [True, False])
async def test_a_body_sent_with_an_offer_of_another_protocol_is_read(
    server: ApiServer, world: FakeWorld, length: str, pieces: list[bytes], together: bool
) -> None:
    row = world.sandboxes.add(sandbox(state=State.RUNNING))
    begin = head(f"POST /v1/sandboxes/{row.id}/exec", length, "Content-Type: application/json", H2C.strip())

    async with Wire(server) as wire:
        await wire.say(*([begin + pieces[0], *pieces[1:]] if together else [begin, *pieces]))
        status, _, said = await wire.answer()
        await wire.say(head("GET /healthz"))
        again, _, _ = await wire.answer()

    assert (status, said["data"]["result"]["stdout"]) == (200, "hi\n")  # type: ignore[index]
    assert again == 200


@pytest.mark.parametrize("protocol", ["h2c", "tcp-tunnel", "websocket"])
async def test_an_offer_does_not_change_who_may_do_what(server: ApiServer, protocol: str) -> None:
    offer = ("Connection: Upgrade", f"Upgrade: {protocol}")

    said = []
    for line, *more in (
        ("POST /v1/no/such/route",),
        ("GET /v1/whoami", "Origin: https://evil.example"),
        ("GET /v1/whoami",),
    ):
        async with Wire(server) as wire:
            await wire.say(head(line, *offer, *more))
            said.append((await wire.answer())[0])

    assert said == [404, 403, 200]


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x16\x03\x01\x02\x00\x01",
        b"BREW / HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_refused_like_every_other_mistake(server: ApiServer, nonsense: bytes) -> None:
    async with Wire(server) as wire:
        await wire.say(nonsense)
        status, headers, said = await wire.answer()

        assert (status, said["status"], headers["content-type"]) == (400, "fail", "application/json")
        assert isinstance(said["data"], str)
        assert headers["x-request-id"]
        assert await wire.hung_up()


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (b"GET /", b"a" * 8192),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ", b"a" * 8192),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"X: " + b"a" * 1000 + b"\r\n"),
        (
            b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
            b"X: " + b"a" * 100 + b"\r\n",
        ),
    ],
    ids=["url", "one header", "many headers", "trailers"],
)
async def test_what_never_becomes_a_request_is_cut_off(server: ApiServer, begin: bytes, more: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
    sent = 0

    writer.write(begin)
    try:
        while not reader.at_eof() and sent < 50 * OVERHEAD_LIMIT_BYTES:
            writer.write(more)
            sent += len(more)
            await writer.drain()
            await asyncio.sleep(0)
    except ConnectionError:
        pass
    finally:
        writer.close()

    assert sent < 50 * OVERHEAD_LIMIT_BYTES


async def test_a_large_body_is_no_overhead(server: ApiServer, world: FakeWorld) -> None:
    row = world.sandboxes.add(sandbox(state=State.RUNNING))
    body = json.dumps({"cmd": "cat", "stdin": "a" * 4 * 2**20}).encode()

    async with Wire(server) as wire:
        begin = head(
            f"POST /v1/sandboxes/{row.id}/exec", "Content-Type: application/json", f"Content-Length: {len(body)}"
        )
        await wire.say(begin + body)
        status, _, _ = await wire.answer()

    assert status == 200


async def test_what_follows_a_body_changes_nothing(server: ApiServer, world: FakeWorld) -> None:
    row = world.sandboxes.add(sandbox(state=State.RUNNING))
    begin = f"POST /v1/sandboxes/{row.id}/exec HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    late = CHUNKED[:-2] + f"X-Api-Key: {KEY}\r\n\r\n".encode()

    async with Wire(server) as wire:
        await wire.say(begin.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + late)
        status, _, _ = await wire.answer()

    assert status == 401
