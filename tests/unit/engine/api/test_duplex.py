"""A connection that was taken over: who waits for whom, and how it ends."""

from __future__ import annotations

import asyncio
import gc

from createos_engine.api.duplex import RawConnection
from createos_engine.api.server import ApiServer
from createos_engine.duplex import Duplex

from tests.fakes.taker import HEAD, Connect, Taker, answer_of


async def test_a_client_that_hangs_up_ends_what_reads(connect: Connect, taker: Taker) -> None:
    reader, writer = await connect()
    writer.write(HEAD)
    await answer_of(reader)

    writer.transport.abort()

    async with asyncio.timeout(60):
        await taker.ended.wait()


async def test_writing_to_a_client_that_left_fails(connect: Connect, taker: Taker) -> None:
    async def flood(duplex: Duplex) -> None:
        while True:
            await duplex.write(bytes(65_536))

    taker.work = flood
    reader, writer = await connect()
    writer.write(HEAD)
    await answer_of(reader)
    await reader.readexactly(100_000)

    writer.transport.abort()

    async with asyncio.timeout(60):
        await taker.ended.wait()
    assert isinstance(taker.failure, ConnectionError)


async def test_a_client_that_does_not_read_makes_the_writer_wait(connect: Connect, taker: Taker) -> None:
    written = 0

    async def flood(duplex: Duplex) -> None:
        nonlocal written
        while True:
            await duplex.write(bytes(65_536))
            written += 65_536

    taker.work = flood
    _, writer = await connect()
    writer.write(HEAD)
    await taker.begun.wait()
    await asyncio.sleep(0.3)
    before = written
    await asyncio.sleep(0.1)

    assert written == before
    assert before < 16 * 2**20
    writer.transport.abort()


async def test_a_reader_that_does_not_come_makes_the_client_wait(connect: Connect, taker: Taker) -> None:
    async def idle(duplex: Duplex) -> None:
        await duplex.gone()

    taker.work = idle
    _, writer = await connect()
    writer.write(HEAD)
    await taker.begun.wait()
    writer.write(bytes(32 * 2**20))
    await asyncio.sleep(0.3)

    assert writer.transport.get_write_buffer_size() > 16 * 2**20
    writer.transport.abort()


async def test_a_stopping_server_hangs_up_on_the_idle_at_once(
    connect: Connect, raw_server: ApiServer, taker: Taker
) -> None:
    reader, writer = await connect()
    writer.write(HEAD)
    await answer_of(reader)
    await asyncio.sleep(0.6)
    begun = asyncio.get_running_loop().time()

    await raw_server.stop(8)

    assert asyncio.get_running_loop().time() - begun < 4
    assert taker.ended.is_set()
    writer.close()


async def test_a_stopping_server_lets_what_moves_finish(connect: Connect, raw_server: ApiServer, taker: Taker) -> None:
    async def count(duplex: Duplex) -> None:
        for number in range(10):
            await duplex.write(b"%d" % number)
            await asyncio.sleep(0.1)
        await duplex.close()

    taker.work = count
    reader, writer = await connect()
    writer.write(HEAD)
    await answer_of(reader)

    _, got = await asyncio.gather(raw_server.stop(8), reader.read(-1))

    assert got == b"0123456789"
    writer.close()


async def test_two_hundred_idle_ones_end_and_leave_nothing(connect: Connect, taker: Taker) -> None:
    async def open_one() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await connect()
        writer.write(HEAD)
        assert (await answer_of(reader))[0] == 101
        return reader, writer

    before = raw_connections()
    pairs = [await open_one() for _ in range(200)]
    for reader, writer in pairs:
        writer.write_eof()
        assert await reader.read(-1) == b""
        writer.close()
    await asyncio.sleep(0.1)

    assert raw_connections() < before + 5


def raw_connections() -> int:
    gc.collect()
    return sum(type(thing) is RawConnection for thing in gc.get_objects())
