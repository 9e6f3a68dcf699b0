"""A guest that breaks the protocol loses its channel, and nobody else notices."""

from __future__ import annotations

import asyncio
import struct
from time import monotonic

import pytest
from createos_engine.drivers.channel.errors import ChannelLost
from createos_engine.drivers.channel.mux import Channel

from tests.fakes.guest import (
    CANCEL,
    CREDIT,
    DATA,
    EOF,
    ERROR,
    EXIT,
    HELLO,
    OPEN,
    READY,
    RESET,
    WINDOW,
    FakeGuest,
    GuestStream,
    Link,
    as_json,
    frame,
)

MANY = 100_000


def grant(size: int) -> bytes:
    return struct.pack(">I", size)


@pytest.mark.parametrize(
    ("bytes_sent", "reason"),
    [
        (b"HTTP/1.1 200 OK", "begins with 0x4854"),
        (bytes(12), "begins with 0x0000"),
        (frame(0x99, 1), "unknown type 0x99"),
        (frame(DATA, 1, b"", 1), "DATA says it has 0 bytes"),
        (frame(DATA, 1, bytes(65_525), 1), "DATA says it has 65525 bytes"),
        (struct.pack(">HBBII", 0xC05B, EXIT, 0, 1, 2**32 - 1), "EXIT says it has 4294967295 bytes"),
        (frame(DATA, 1, b"x", 0), "sub-channel 0"),
        (frame(EOF, 1, flags=0), "sub-channel 0"),
        (frame(EOF, 1, flags=1) * 2, "sub-channel 1, which is closed"),
        (frame(EOF, 1, flags=1) + frame(DATA, 1, b"x", 1), "sub-channel 1, which is closed"),
        (frame(DATA, 1, bytes(60_000), 1) * 5, "more than the 22144 bytes it had granted"),
        (frame(CREDIT, 1, grant(0)), "granted 0 bytes"),
        (frame(CREDIT, 1, grant(2**24)), "granted more than 16777216 bytes"),
        (frame(CREDIT, 1, grant(2**23)) * 2, "granted more than 16777216 bytes"),
        (frame(DATA, 2, b"x", 1), "a frame DATA came for stream 2, which was never opened"),
        (frame(CREDIT, 7, grant(1)), "stream 7, which was never opened"),
        (frame(EXIT, 1, b"{}") * 2, "a frame EXIT came for stream 1, which has ended"),
        (frame(EXIT, 1, b"{}") + frame(DATA, 1, b"x", 1), "a frame DATA came for stream 1, which has ended"),
        (frame(EXIT, 1, b"{"), "an EXIT is not valid JSON"),
        (frame(EXIT, 1, b"[1]"), "an EXIT is not a JSON object"),
        (frame(EXIT, 1, b'{"a":' + b"[" * 60_000), "an EXIT is not valid JSON"),
        (frame(EXIT, 1, b'{"a":' + b"[" * 20 + b"]" * 20 + b"}"), "more than 16 levels"),
        (frame(ERROR, 1, b"\xff"), "an ERROR is not valid JSON"),
        (frame(OPEN, 1, b"{}"), "a frame OPEN came, which only the host may send"),
        (frame(CANCEL, 1), "a frame CANCEL came, which only the host may send"),
        (frame(OPEN, 3, b"{}"), "a frame OPEN came for stream 3, which was never opened"),
        (frame(RESET, 0, bytes(32)), "a frame RESET came"),
        (frame(READY, 0, b"createos-ready-1" + bytes(16) + as_json(HELLO)), "answers no RESET of this connection"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_violation_ends_the_channel_and_every_stream(
    guest: FakeGuest, channel: Channel, lost: list[str], bytes_sent: bytes, reason: str
) -> None:
    async def attack(stream: GuestStream) -> None:
        await stream.link.send(bytes_sent)

    guest.scripts["attack"] = attack

    attacked = await channel.open({"kind": "attack"})
    await guest.until(lambda: not channel.connected)

    assert len(lost) == 1
    assert lost[0].startswith("the guest broke the protocol: ")
    assert reason in lost[0]
    assert attacked.over
    with pytest.raises(ChannelLost, match="the guest broke the protocol"):
        await channel.open({"kind": "ping"})


async def test_all_streams_learn_of_the_loss_and_it_is_told_once(
    guest: FakeGuest, channel: Channel, lost: list[str]
) -> None:
    async def never(stream: GuestStream) -> None:
        return None

    async def attack(stream: GuestStream) -> None:
        await stream.link.send(b"garbage" * 1_000)

    guest.scripts["never"], guest.scripts["attack"] = never, attack
    streams = [await channel.open({"kind": "never"}) for _ in range(3)]
    waiting = [asyncio.create_task(stream.result()) for stream in streams]
    sending = asyncio.create_task(streams[0].send(bytes(WINDOW + 1)))
    await asyncio.sleep(0.01)

    await channel.open({"kind": "attack"})
    ends = await asyncio.gather(*waiting, sending, return_exceptions=True)

    assert [type(end) for end in ends] == [ChannelLost] * 4
    assert len(lost) == 1


async def test_a_ready_too_many_is_a_violation(guest: FakeGuest, channel: Channel, lost: list[str]) -> None:
    link = guest.links[0]

    await link.send(frame(READY, 0, b"createos-ready-1" + link.nonce + as_json(HELLO)))
    await guest.until(lambda: bool(lost))

    assert "more READYs came than RESETs were sent" in lost[0]


async def test_a_guest_that_closes_in_the_middle_of_a_frame_is_lost(
    guest: FakeGuest, channel: Channel, lost: list[str]
) -> None:
    async def break_off(stream: GuestStream) -> None:
        await stream.link.send(frame(DATA, stream.number, bytes(1_000), 1)[:500])
        stream.link.writer.close()

    guest.scripts["break"] = break_off
    stream = await channel.open({"kind": "break"})

    with pytest.raises(ChannelLost, match="the machine closed the channel"):
        await stream.result()
    assert lost == ["the machine closed the channel"]


async def test_frames_before_the_violation_still_count(guest: FakeGuest, channel: Channel) -> None:
    async def answer_then_attack(stream: GuestStream) -> None:
        await stream.link.send(frame(EXIT, stream.number, b'{"n":1}') + b"garbage garbage")

    guest.scripts["answer"] = answer_then_attack
    stream = await channel.open({"kind": "answer"})

    assert await stream.result() == {"n": 1}
    await guest.until(lambda: not channel.connected)


@pytest.mark.parametrize(
    "flood",
    [
        b"".join(frame(EXIT, number, b"{}") for number in range(2, MANY)),
        bytes(10_000_000),
        frame(DATA, 1, b"x", 1) * MANY * 3,
        frame(CREDIT, 1, grant(1)) * MANY,
        frame(EOF, 1, flags=1) * MANY,
    ],
    ids=["finals", "zeros", "bytes", "credits", "eofs"],
)
async def test_a_flood_does_not_keep_the_event_loop_from_others(
    guest: FakeGuest, channel: Channel, flood: bytes
) -> None:
    async def attack(stream: GuestStream) -> dict[str, object]:
        stream.link.writer.write(flood)
        return {}

    guest.scripts["attack"] = attack
    other = FakeGuest(guest.path.with_name("other"))
    await other.start()
    neighbour = await Channel.connect(other.path, deadline_s=60)

    attacked = await channel.open({"kind": "attack"})
    longest = 0.0
    while not attacked.over:
        begun = monotonic()
        await (await neighbour.open({"kind": "ping"})).result()
        longest = max(longest, monotonic() - begun)

    assert longest < 0.25
    await neighbour.close()
    await other.stop()


async def test_a_guest_that_floods_from_its_first_byte_is_lost_at_once(guest: FakeGuest) -> None:
    async def flood(link: Link) -> None:
        link.writer.write(frame(EXIT, 1, b"{}") * MANY)

    guest.after_ready, lost = flood, []

    channel = await Channel.connect(guest.path, deadline_s=60, on_lost=lost.append)
    await guest.until(lambda: bool(lost))

    assert "a frame EXIT came for stream 1, which was never opened" in lost[0]
    await channel.close()


async def test_single_bytes_on_two_sub_channels_do_not_fill_the_daemon(guest: FakeGuest, channel: Channel) -> None:
    async def drip(stream: GuestStream) -> None:
        pair = frame(DATA, stream.number, b"x", 1) + frame(DATA, stream.number, b"y", 2)
        stream.link.writer.write(pair * (WINDOW // 2))

    guest.scripts["drip"] = drip
    stream = await channel.open({"kind": "drip"})

    await guest.until(lambda: stream._receivable == 0, deadline_s=60)

    assert len(stream._inbox) < 2_000
