"""A channel against a model of what its guest may do, in any order with what the host does."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from createos_engine.drivers.channel.connection import Connection
from createos_engine.drivers.channel.errors import ChannelLost
from createos_engine.drivers.channel.frames import READY_MARKER, Decoder, FrameType, encode
from createos_engine.drivers.channel.handshake import Handshake, Ready
from createos_engine.drivers.channel.mux import Channel
from createos_engine.drivers.channel.stream import INITIAL_WINDOW_BYTES, Stream
from hypothesis import given, settings
from hypothesis import strategies as st

NONCE = b"0123456789abcdef"
READY = Ready(1, "test", (), "ready", "", 0)
OPENED = 3
SIZES = (1, 50, 4_096, 30_000, 65_524, 65_524)

numbers = st.integers(1, OPENED)
steps = st.one_of(
    st.tuples(st.just("data"), numbers, st.sampled_from(SIZES), st.integers(1, 2)),
    st.tuples(st.just("data"), numbers, st.sampled_from(SIZES), st.integers(1, 2)),
    st.tuples(st.just("read"), numbers),
    st.tuples(st.just("read"), numbers),
    st.tuples(st.just("grant"), numbers, st.integers(1, 2**18)),
    st.tuples(st.sampled_from(["send", "full", "room", "cancel", "discard"]), numbers),
    st.tuples(st.sampled_from(["eof", "exit", "error"]), numbers),
)
hostile = st.one_of(
    st.binary(min_size=12, max_size=40).map(lambda junk: bytes(1) + junk),
    st.builds(lambda stream: encode(FrameType.EXIT, stream, b"{}"), st.integers(OPENED + 1, 9)),
    st.builds(lambda stream: encode(FrameType.CANCEL, stream), st.integers(1, 9)),
    st.just(encode(FrameType.READY, 0, READY_MARKER + NONCE[::-1])),
)


class Wire(asyncio.Transport):
    """A transport that keeps what was written."""

    def __init__(self, protocol: Connection) -> None:
        super().__init__()
        self.protocol, self.written, self.closing, self.paused = protocol, bytearray(), False, False

    def write(self, data: object) -> None:
        self.written += data  # type: ignore[operator]

    def abort(self) -> None:
        self.closing = True

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass


class Play:
    """The channel, its streams, and what the guest has been granted and has done."""

    def __init__(self) -> None:
        self.connection = Connection(NONCE)
        self.wire = Wire(self.connection)
        self.heard = Decoder()
        self.lost: list[str] = []
        self.may_send = Counter(dict.fromkeys(range(1, OPENED + 1), INITIAL_WINDOW_BYTES))
        self.may_get = Counter(self.may_send)
        self.closed: set[tuple[int, int]] = set()
        self.ended: set[int] = set()
        self.streams: list[Stream] = []

    async def begin(self) -> None:
        handshake = Handshake(Path("nowhere"))
        handshake.nonce, handshake.resets_sent = NONCE, 1
        self.connection.connection_made(self.wire)
        await self.deliver(encode(FrameType.READY, 0, READY_MARKER + NONCE + b"{}"))
        self.channel = Channel(self.connection, handshake, READY)
        self.channel._on_lost = self.lost.append
        self.connection.attach(self.channel._frame_received, self.channel._connection_lost)
        self.streams = [await self.channel.open({"kind": "exec"}) for _ in range(OPENED)]

    async def deliver(self, data: bytes) -> None:
        """Do what an event loop does with bytes that have come."""
        while data and not self.wire.closing:
            room = self.connection.get_buffer(-1)
            size = min(len(room), len(data))
            room[:size] = data[:size]
            self.connection.buffer_updated(size)
            data = data[size:]
            await asyncio.sleep(0)

    async def guest_does(self, what: str, number: int, *rest: int) -> bool:
        """Let the guest send one frame if the model has it; return whether that was allowed."""
        if number in self.ended:
            return True
        if what == "data" and (number, rest[1]) not in self.closed:
            self.may_send[number] -= rest[0]
            await self.deliver(encode(FrameType.DATA, number, bytes(rest[0]), flags=rest[1]))
            return self.may_send[number] >= 0
        if what == "grant":
            self.may_get[number] += rest[0]
            await self.deliver(encode(FrameType.CREDIT, number, rest[0].to_bytes(4, "big")))
        elif what == "eof" and (number, 1) not in self.closed:
            self.closed.add((number, 1))
            await self.deliver(encode(FrameType.EOF, number, flags=1))
        elif what in {"exit", "error"}:
            self.ended.add(number)
            kind = FrameType.EXIT if what == "exit" else FrameType.ERROR
            await self.deliver(encode(kind, number, b'{"code":"failed"}'))
        return True

    async def host_does(self, what: str, stream: Stream) -> None:
        if what == "read" and stream._inbox:
            await anext(stream)
        elif what == "cancel":
            stream.cancel()
        elif what == "discard":
            stream.discard()
        elif what == "full":
            self.connection.pause_writing()
        elif what == "room":
            self.connection.resume_writing()
        elif what == "send":
            sending = asyncio.create_task(stream.send(bytes(200_000)))
            await asyncio.sleep(0)
            sending.cancel()
            await asyncio.wait({sending})

    def listen(self) -> None:
        """Let the guest hear what the host wrote."""
        data, self.wire.written = self.wire.written, bytearray()
        for frame in self.heard.feed(bytes(data)):
            if frame.type is FrameType.CREDIT:
                self.may_send[frame.stream] += int.from_bytes(frame.payload, "big")
            elif frame.type is FrameType.DATA:
                self.may_get[frame.stream] -= len(frame.payload)

    def check(self) -> None:
        """Compare the channel with the model."""
        self.listen()
        assert self.lost == []
        assert all(0 <= left <= INITIAL_WINDOW_BYTES for left in self.may_send.values())
        assert all(left >= 0 for left in self.may_get.values())
        assert {stream.number for stream in self.streams if stream.over} == self.ended
        for stream in self.streams:
            assert stream.over or stream._receivable == self.may_send[stream.number]
            waiting = sum(len(data) for _, data in stream._inbox._pieces)
            assert waiting + self.may_send[stream.number] <= INITIAL_WINDOW_BYTES


@settings(deadline=None, max_examples=100)
@given(st.lists(steps, min_size=20, max_size=100), hostile)
def test_a_channel_lives_exactly_as_long_as_its_guest_keeps_the_rules(
    script: list[tuple[str, int]], attack: bytes
) -> None:
    async def act() -> None:
        play = Play()
        await play.begin()
        play.check()
        for what, number, *rest in script:
            await play.host_does(what, play.streams[number - 1])
            play.listen()
            if not await play.guest_does(what, number, *rest):
                break
            play.check()
        else:
            await play.deliver(attack)
        await check_loss(play)

    asyncio.run(asyncio.wait_for(act(), 20))


async def check_loss(play: Play) -> None:
    assert len(play.lost) == 1
    assert play.lost[0].startswith("the guest broke the protocol: ")
    assert all(stream.over for stream in play.streams)
    for stream in play.streams:
        (result,) = await asyncio.gather(stream.result(), return_exceptions=True)
        assert isinstance(result, ChannelLost) is (stream.number not in play.ended)
