"""A stream that carries a connection of the guest is read and written like any connection."""

from __future__ import annotations

import asyncio

import pytest
from createos_engine.drivers.channel.duplex import StreamDuplex
from createos_engine.drivers.channel.mux import Channel

from tests.fakes.guest import EOF, FakeGuest, GuestStream, Refused


async def test_bytes_go_both_ways_and_each_way_ends_by_itself(guest: FakeGuest, channel: Channel) -> None:
    async def talk(stream: GuestStream) -> dict[str, object]:
        await stream.write(b"hello")
        await stream.raw(EOF, flags=1)
        heard = b""
        while data := await stream.read():
            heard += data
        return {"heard": len(heard)}

    guest.scripts["accept"] = talk
    stream = await channel.open({"kind": "accept"})
    duplex = StreamDuplex(stream)

    assert await duplex.read() == b"hello"
    assert [await duplex.read(), await duplex.read()] == [b"", b""]
    await duplex.write(b"bye" * 100_000)
    await duplex.close()
    assert await stream.result() == {"heard": 300_000}
    await duplex.gone()


async def test_a_connection_that_breaks_is_a_reset_for_reader_and_writer(guest: FakeGuest, channel: Channel) -> None:
    async def broken(stream: GuestStream) -> None:
        raise Refused("reset", "connection reset by peer")

    guest.scripts["accept"] = broken
    duplex = StreamDuplex(await channel.open({"kind": "accept"}))

    with pytest.raises(ConnectionError):
        await duplex.read()
    with pytest.raises(ConnectionError):
        await duplex.write(b"x")


async def test_a_guest_that_does_not_end_is_cut_off(guest: FakeGuest, channel: Channel) -> None:
    cancelled = asyncio.Event()

    async def deaf(stream: GuestStream) -> dict[str, object]:
        await stream.cancelled.wait()
        cancelled.set()
        return {}

    guest.scripts["accept"] = deaf
    duplex = StreamDuplex(await channel.open({"kind": "accept"}))
    duplex.abort()

    await asyncio.wait_for(cancelled.wait(), 60)
    assert await duplex.read() == b""


async def test_a_channel_that_is_lost_is_a_reset(guest: FakeGuest, channel: Channel, lost: list[str]) -> None:
    async def wait(stream: GuestStream) -> dict[str, object]:
        await stream.cancelled.wait()
        return {}

    guest.scripts["accept"] = wait
    duplex = StreamDuplex(await channel.open({"kind": "accept"}))
    await guest.stop()

    with pytest.raises(ConnectionError):
        await duplex.read()
