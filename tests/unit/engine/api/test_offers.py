"""A route takes a connection over: raw bytes both ways, and nothing that could be taken for a request."""

from __future__ import annotations

import asyncio

import pytest
from createos_engine.errors import HostFailed

from tests.fakes.taker import BEHIND, HEAD, Connect, Taker, answer_of


async def test_bytes_pass_both_ways_and_each_way_ends_by_itself(connect: Connect) -> None:
    reader, writer = await connect()
    data = bytes(range(256)) * 8192

    writer.write(HEAD)
    status, head = await answer_of(reader)
    writer.write(data)
    writer.write_eof()
    async with asyncio.timeout(60):
        got = await reader.read(-1)
    writer.close()

    assert (status, got == data) == (101, True)
    assert "connection: upgrade\r\n" in head
    assert "upgrade: tcp-tunnel\r\n" in head


async def test_what_comes_with_the_head_is_not_lost(connect: Connect) -> None:
    reader, writer = await connect()

    writer.write(HEAD + BEHIND)
    writer.write_eof()
    status, _ = await answer_of(reader)

    assert (status, await reader.read(-1)) == (101, BEHIND)
    writer.close()


async def test_what_comes_before_the_answer_is_not_lost_and_not_unbounded(connect: Connect, taker: Taker) -> None:
    taker.may_answer.clear()
    reader, writer = await connect()
    writer.write(HEAD)
    await taker.begun.wait()
    data = bytes(range(256)) * 40_000
    writer.write(data)
    await asyncio.sleep(0.2)
    assert writer.transport.get_write_buffer_size() > 0

    taker.may_answer.set()
    writer.write_eof()
    status, _ = await answer_of(reader)

    assert (status, await reader.read(-1) == data) == (101, True)
    writer.close()


async def test_a_refusal_is_an_ordinary_answer_and_nothing_behind_it_is_a_request(
    connect: Connect, taker: Taker
) -> None:
    taker.refusal = HostFailed("nothing listens")
    reader, writer = await connect()

    writer.write(HEAD + BEHIND)
    status, head = await answer_of(reader)
    rest = await reader.read(-1)
    writer.close()

    assert status == 500
    assert "connection: close" in head
    assert b"nothing listens" in rest
    assert b"HTTP" not in rest
    assert taker.plain == 0


@pytest.mark.parametrize(
    "head",
    [
        HEAD.replace(b"Content-Length: 0", b"Content-Length: 4"),
        HEAD.replace(b"Content-Length: 0", b"Transfer-Encoding: chunked"),
        HEAD.replace(b"HTTP/1.1", b"HTTP/1.0"),
        HEAD.replace(b"Upgrade: tcp-tunnel", b"Upgrade: h2c"),
        HEAD.replace(b"Connection: Upgrade\r\n", b""),
    ],
    ids=["a body", "chunks", "1.0", "another protocol", "no connection header"],
)
async def test_an_offer_that_is_none_is_refused_with_what_to_send(connect: Connect, head: bytes) -> None:
    reader, writer = await connect()

    writer.write(head + b"0\r\n\r\n")
    status, _ = await answer_of(reader)
    writer.close()

    assert status == 400


async def test_requests_before_the_offer_are_answered_first(connect: Connect) -> None:
    reader, writer = await connect()

    writer.write(BEHIND + HEAD + b"raw")
    first, _ = await answer_of(reader)
    await reader.readexactly(len('{"status":"success"}'))
    second, _ = await answer_of(reader)

    assert (first, second, await reader.readexactly(3)) == (200, 101, b"raw")
    writer.close()


async def test_a_websocket_is_taken_in_the_same_way(connect: Connect) -> None:
    reader, writer = await connect()

    writer.write(
        b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\nhi"
    )
    status, head = await answer_of(reader)

    assert (status, await reader.readexactly(2)) == (101, b"hi")
    assert "sec-websocket-accept: x" in head
    writer.close()
