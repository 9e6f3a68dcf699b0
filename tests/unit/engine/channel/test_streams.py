"""Streams of one channel: requests, results, and how they end."""

from __future__ import annotations

import asyncio

import pytest
from createos_engine.drivers.channel.errors import AgentError, ChannelLost
from createos_engine.drivers.channel.mux import MAX_STREAMS, Channel
from createos_engine.errors import GuestFailed, TooLarge

from tests.fakes.guest import FakeGuest, GuestStream


async def test_a_result_is_the_guests_object(guest: FakeGuest, channel: Channel) -> None:
    async def answer(stream: GuestStream) -> dict[str, object]:
        return {"heard": stream.request["say"]}

    guest.scripts["echo"] = answer

    stream = await channel.open({"kind": "echo", "say": "ü"})

    assert await stream.result() == {"heard": "ü"}
    assert stream.over


async def test_a_refusal_has_the_guests_code_and_words(channel: Channel) -> None:
    stream = await channel.open({"kind": "dance"})

    with pytest.raises(AgentError, match="unknown kind dance") as failure:
        await stream.result()

    assert failure.value.code == "bad_request"


async def test_a_request_of_many_parts_arrives_whole(guest: FakeGuest, channel: Channel) -> None:
    stream = await channel.open({"kind": "ping", "padding": "x" * 4_000_000})
    await stream.result()

    assert len(str(guest.requests[0]["padding"])) == 4_000_000


async def test_a_request_above_four_mebibytes_is_refused_before_anything_is_sent(
    guest: FakeGuest, channel: Channel
) -> None:
    with pytest.raises(TooLarge, match="at most 4194304"):
        await channel.open({"kind": "ping", "padding": "x" * 4_200_000})

    assert guest.requests == []


async def test_thousands_of_streams_in_one_epoch_leave_nothing_behind(channel: Channel) -> None:
    for _ in range(100):
        streams = [await channel.open({"kind": "ping"}) for _ in range(100)]
        assert [await stream.result() for stream in streams] == [{}] * 100

    assert streams[-1].number == 10_000
    assert channel._streams == {}


async def test_more_unfinished_streams_than_bounded_are_refused(guest: FakeGuest, channel: Channel) -> None:
    async def never(stream: GuestStream) -> None:
        return None

    guest.scripts["ping"] = never
    for _ in range(MAX_STREAMS):
        (await channel.open({"kind": "ping"})).cancel()

    with pytest.raises(GuestFailed, match="has not finished 4096 requests"):
        await channel.open({"kind": "ping"})


async def test_a_cancelled_stream_drops_what_still_comes(guest: FakeGuest, channel: Channel) -> None:
    async def talk_on(stream: GuestStream) -> dict[str, object]:
        await stream.write(b"before")
        await stream.cancelled.wait()
        await stream.write(bytes(100_000))
        return {"ended": True}

    guest.scripts["talk"] = talk_on
    stream = await channel.open({"kind": "talk"})
    assert (await anext(stream)).data == b"before"

    stream.cancel()

    assert [piece async for piece in stream] == []
    assert await stream.result() == {"ended": True}


async def test_an_open_that_is_cancelled_half_way_leaves_nothing_behind(guest: FakeGuest, channel: Channel) -> None:
    reader = guest.links[0].reader
    reader._transport.pause_reading()  # type: ignore[attr-defined]
    opening = asyncio.create_task(channel.open({"kind": "ping", "padding": "x" * 4_000_000}))
    await asyncio.sleep(0.05)

    opening.cancel()
    await asyncio.wait({opening})
    reader._transport.resume_reading()  # type: ignore[attr-defined]

    await guest.until(lambda: channel._streams == {})
    assert guest.requests == [{}]
    assert await (await channel.open({"kind": "ping"})).result() == {}


async def test_close_ends_streams_without_telling_a_loss(guest: FakeGuest, channel: Channel, lost: list[str]) -> None:
    async def never(stream: GuestStream) -> None:
        return None

    guest.scripts["never"] = never
    stream = await channel.open({"kind": "never"})
    waiting = asyncio.create_task(stream.result())

    await channel.close()

    with pytest.raises(ChannelLost, match="the engine closed the channel"):
        await waiting
    with pytest.raises(ChannelLost):
        await channel.open({"kind": "ping"})
    assert (channel.connected, lost) == (False, [])


async def test_output_that_was_received_is_read_before_the_loss_is_told(
    guest: FakeGuest, channel: Channel, lost: list[str]
) -> None:
    async def say_and_die(stream: GuestStream) -> None:
        await stream.write(b"last words")
        await guest.stop()

    guest.scripts["die"] = say_and_die
    stream = await channel.open({"kind": "die"})
    await stream.wait()

    assert (await anext(stream)).data == b"last words"
    with pytest.raises(ChannelLost, match="the machine closed the channel"):
        await anext(stream)
    assert lost == ["the machine closed the channel"]
