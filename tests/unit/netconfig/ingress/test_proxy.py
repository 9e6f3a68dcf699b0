"""Requests through the proxy: what the program sees, what the visitor gets, and what is refused."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress

import pytest

from tests.unit.netconfig.ingress.conftest import Proxy

GET = "GET /a?b=c HTTP/1.1\nHost: HOST"


async def test_the_program_sees_localhost_and_where_the_visitor_came_from(proxy: Proxy) -> None:
    head = await proxy.ask(f"{GET}\nX-Own: kept\nCookie: a=b")

    assert f"host: localhost:{proxy.program_port}\r\n".encode() in head.lower()
    assert b"GET /a?b=c HTTP/1.1" in head
    assert b"x-forwarded-for: 127.0.0.1\r\n" in head
    assert b"x-forwarded-proto: http\r\n" in head
    assert f"x-forwarded-host: {proxy.host}\r\n".encode() in head
    assert b"X-Own: kept\r\n" in head
    assert b"Cookie: a=b\r\n" in head


@pytest.mark.parametrize(
    "header",
    [
        *("Authorization: Bearer secret", "Proxy-Authorization: secret", "Forwarded: for=secret", "Keep-Alive: secret"),
        *("X-Forwarded-For: secret", "TE: secret", "Connection: close, x-mine\nX-Mine: secret", "Upgrade: secret"),
    ],
)
async def test_what_is_not_for_the_program_does_not_reach_it(proxy: Proxy, header: str) -> None:
    assert b"secret" not in await proxy.ask(f"{GET}\n{header}")


async def test_https_is_trusted_through_the_authority_and_said_to_the_program(proxy: Proxy) -> None:
    answer = await proxy.ask(GET, tls=True)

    assert b"200 OK" in answer
    assert b"x-forwarded-proto: https" in answer


async def test_one_connection_serves_many_requests_over_one_to_the_program(proxy: Proxy) -> None:
    reader, writer = await proxy.connect()
    for _ in range(3):
        writer.write(GET.replace("HOST", proxy.host).replace("\n", "\r\n").encode() + b"\r\n\r\n")
        length = int((await reader.readuntil(b"\r\n\r\n")).lower().split(b"content-length: ")[1].split(b"\r")[0])
        await reader.readexactly(length)
    writer.close()

    assert (len(proxy.heads), proxy.connections) == (3, 1)


async def test_pipelined_requests_are_answered_in_order(proxy: Proxy) -> None:
    reader, writer = await proxy.connect()
    for path in ("one", "two"):
        writer.write(f"GET /{path} HTTP/1.1\r\nHost: {proxy.host}\r\n\r\n".encode())
    seen = b""
    while b"GET /two" not in seen:
        seen += await asyncio.wait_for(reader.read(65_536), 5)
    writer.close()

    assert seen.index(b"GET /one") < seen.index(b"GET /two")


async def test_a_program_that_ended_an_idle_connection_is_asked_again(proxy: Proxy) -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    proxy.program = once
    reader, writer = await proxy.connect()
    for _ in range(3):
        writer.write(GET.replace("HOST", proxy.host).replace("\n", "\r\n").encode() + b"\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(2) == b"ok"
    writer.close()

    assert proxy.connections == 3


@pytest.mark.parametrize(("method", "status"), [("GET", b"200"), ("POST", b"502")])
async def test_a_connection_that_is_reset_is_tried_again_only_when_that_is_safe(
    proxy: Proxy, method: str, status: bytes
) -> None:
    async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    proxy.program = resets
    reader, writer = await proxy.connect()
    answers = []
    for verb in ("GET", method):
        writer.write(f"{verb} / HTTP/1.1\r\nHost: {proxy.host}\r\n\r\n".encode())
        answers.append(await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5))

    assert [answer.split()[1] for answer in answers] == [b"200", status]


@pytest.mark.parametrize("framing", ["length", "chunks"])
async def test_large_bodies_go_through_in_both_directions(proxy: Proxy, framing: str) -> None:
    size = 8 * 2**20

    async def mirror(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        chunked = b"transfer-encoding: chunked" in head
        left = size
        while left:
            if chunked:
                piece = await reader.readexactly(int(await reader.readline(), 16) + 2)
                piece = piece[:-2]
            else:
                piece = await reader.read(left)
            left -= len(piece)
            writer.write(piece)
            await writer.drain()

    proxy.program = mirror
    body = bytes(range(256)) * (size // 256)
    if framing == "length":
        answer = await proxy.ask(f"POST / HTTP/1.1\nHost: HOST\nContent-Length: {size}", body)
    else:
        chunks = b"".join(b"10000\r\n" + body[at : at + 65_536] + b"\r\n" for at in range(0, size, 65_536))
        answer = await proxy.ask("POST / HTTP/1.1\nHost: HOST\nTransfer-Encoding: chunked", chunks + b"0\r\n\r\n")

    assert sum(len(line) for line in _chunks(answer)) == size


def _chunks(answer: bytes) -> list[bytes]:
    rest, pieces = answer.partition(b"\r\n\r\n")[2], []
    while rest:
        length, _, rest = rest.partition(b"\r\n")
        pieces.append(rest[: int(length, 16)])
        rest = rest[int(length, 16) + 2 :]
    return pieces


async def test_a_program_that_reads_nothing_holds_the_visitor_back(proxy: Proxy) -> None:
    go_on = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await go_on.wait()

    proxy.program = slow
    _, writer = await proxy.connect()
    writer.write(f"POST / HTTP/1.1\r\nHost: {proxy.host}\r\nContent-Length: {2**30}\r\n\r\n".encode())
    sent = await _send_until_held_back(writer)
    writer.transport.abort()
    go_on.set()

    assert sent < 2**26


async def _send_until_held_back(writer: asyncio.StreamWriter) -> int:
    """Return how many bytes were taken before nobody took any for half a second."""
    sent = 0
    with suppress(TimeoutError):
        while sent < 2**28:
            writer.write(bytes(2**20))
            await asyncio.wait_for(writer.drain(), 0.5)
            sent += 2**20
    return sent


async def test_events_come_as_they_are_sent(proxy: Proxy) -> None:
    sent = asyncio.Event()

    async def events(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: first\n\n")
        await sent.wait()
        writer.write(b"data: second\n\n")

    proxy.program = events
    reader, writer = await proxy.connect()
    writer.write(GET.replace("HOST", proxy.host).replace("\n", "\r\n").encode() + b"\r\n\r\n")
    await asyncio.wait_for(reader.readuntil(b"data: first\n\n"), 5)
    sent.set()
    await asyncio.wait_for(reader.readuntil(b"data: second\n\n"), 5)
    writer.close()


async def test_a_visitor_who_goes_away_is_noticed_by_the_program(proxy: Proxy) -> None:
    gone = asyncio.Event()

    async def forever(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\ndata: 1\n\n")
        await reader.read()
        gone.set()

    proxy.program = forever
    reader, writer = await proxy.connect()
    writer.write(GET.replace("HOST", proxy.host).replace("\n", "\r\n").encode() + b"\r\n\r\n")
    await asyncio.wait_for(reader.readuntil(b"data: 1"), 5)
    writer.close()

    await asyncio.wait_for(gone.wait(), 5)


@pytest.mark.parametrize("tls", [False, True])
async def test_a_websocket_goes_over_to_bytes(proxy: Proxy, tls: bool) -> None:
    async def echoes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        proxy.heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n")
        writer.write(b"Sec-WebSocket-Accept: x\r\n\r\nearly")
        while data := await reader.read(100):
            writer.write(data.upper())
            await writer.drain()

    proxy.program = echoes
    reader, writer = await proxy.connect(tls=tls)
    writer.write(f"GET / HTTP/1.1\r\nHost: {proxy.host}\r\nConnection: keep-alive, Upgrade\r\n".encode())
    writer.write(b"Upgrade: websocket\r\nSec-WebSocket-Key: y\r\nSec-WebSocket-Version: 13\r\n\r\n")
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    assert await reader.readexactly(5) == b"early"
    writer.write(b"shout")
    assert await asyncio.wait_for(reader.readexactly(5), 5) == b"SHOUT"
    writer.close()

    assert b"101" in head.splitlines()[0]
    assert b"sec-websocket-accept: x" in head.lower()
    assert b"upgrade: websocket" in proxy.heads[0].lower()
