"""The frame codec: any frames, in any pieces, and any garbage."""

from __future__ import annotations

import os
import tracemalloc
from contextlib import suppress
from itertools import pairwise

import pytest
from createos_engine.drivers.channel.errors import ProtocolViolation
from createos_engine.drivers.channel.frames import (
    MAX_FRAME_BYTES,
    MAX_PAYLOAD_BYTES,
    READY_MARKER,
    Decoder,
    Frame,
    FrameType,
    encode,
)
from hypothesis import given
from hypothesis import strategies as st

STREAMS = st.integers(1, 2**32 - 1)
NONCE = b"0123456789abcdef"
READY_JSON = b'{"version":1}'

payloads = st.one_of(
    st.binary(min_size=1, max_size=60),
    st.integers(1, MAX_PAYLOAD_BYTES).map(lambda size: b"\xc0\x5b" * (size // 2) + b"\x02" * (size % 2)),
)
frames = st.one_of(
    st.builds(Frame, st.just(FrameType.DATA), st.integers(0, 2), STREAMS, payloads),
    st.builds(Frame, st.just(FrameType.OPEN), st.integers(0, 1), STREAMS, payloads),
    st.builds(Frame, st.just(FrameType.EOF), st.integers(0, 2), STREAMS, st.just(b"")),
    st.builds(Frame, st.just(FrameType.CREDIT), st.just(0), STREAMS, st.binary(min_size=4, max_size=4)),
    st.builds(Frame, st.sampled_from([FrameType.EXIT, FrameType.ERROR]), st.just(0), STREAMS, payloads),
    st.builds(Frame, st.just(FrameType.CANCEL), st.just(0), STREAMS, st.just(b"")),
    st.builds(Frame, st.just(FrameType.READY), st.just(0), st.just(0), st.binary(min_size=32, max_size=99)),
)


def as_bytes(some: list[Frame]) -> bytes:
    return b"".join(encode(frame.type, frame.stream, frame.payload, flags=frame.flags) for frame in some)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[begin:end] for begin, end in pairwise(edges)]


@given(st.lists(frames, max_size=12), st.lists(st.integers(0, 2**20), max_size=12))
def test_frames_survive_any_chunking(sent: list[Frame], cuts: list[int]) -> None:
    decoder = Decoder()

    received = [frame for piece in pieces(as_bytes(sent), cuts) for frame in decoder.feed(piece)]

    assert received == sent


@given(st.lists(frames, max_size=5))
def test_frames_survive_one_byte_at_a_time(sent: list[Frame]) -> None:
    decoder = Decoder()
    small = [frame for frame in sent if len(frame.payload) < 100]

    received = [frame for byte in as_bytes(small) for frame in decoder.feed(bytes([byte]))]

    assert received == small


@given(st.lists(st.one_of(st.binary(max_size=300), frames.map(lambda frame: as_bytes([frame]))), max_size=20))
def test_garbage_is_a_violation_and_nothing_else(garbage: list[bytes]) -> None:
    decoder = Decoder()

    for piece in garbage:
        try:
            decoder.feed(piece)
        except ProtocolViolation:
            break
    else:
        return

    with pytest.raises(ProtocolViolation):
        decoder.feed(b"")


@given(st.lists(frames, max_size=6), st.integers(0, 2**20), st.integers(1, 255))
def test_frames_before_a_fault_are_the_same_in_any_chunking(sent: list[Frame], cut: int, first: int) -> None:
    data = as_bytes(sent) + bytes([first ^ 0xC0]) + bytes(11)

    assert before_fault([data]) == before_fault(pieces(data, [cut])) == sent


def before_fault(chunks: list[bytes]) -> list[Frame]:
    decoder, received = Decoder(), []
    try:
        for chunk in [*chunks, b""]:
            received += decoder.feed(chunk)
    except ProtocolViolation:
        return received
    pytest.fail("the fault was not noticed")


@given(st.binary(max_size=300), st.lists(frames, max_size=4), st.lists(st.integers(0, 2**20), max_size=6))
def test_the_hunt_finds_ready_behind_anything(stale: bytes, wrong: list[Frame], cuts: list[int]) -> None:
    ready = encode(FrameType.READY, 0, READY_MARKER + NONCE + READY_JSON)
    decoys = READY_MARKER + NONCE + encode(FrameType.READY, 0, READY_MARKER + bytes(16))
    data = stale + as_bytes(wrong)[3:] + decoys + ready

    found = hunted(pieces(data, cuts))

    assert [frame.payload[32:] for frame in found] == [READY_JSON]


def hunted(chunks: list[bytes]) -> list[Frame]:
    decoder, found = Decoder(), []
    for chunk in chunks:
        while chunk and not found:
            room = decoder.space()
            size = min(len(room), len(chunk))
            room[:size] = chunk[:size]
            decoder.filled(size)
            chunk = chunk[size:]
            found += [frame for frame in [decoder.hunt(NONCE)] if frame]
    return found


@pytest.mark.parametrize("length", [0, 1, MAX_PAYLOAD_BYTES, 2**32 - 1])
def test_nothing_is_allocated_for_what_a_header_promises(length: int) -> None:
    header = bytes.fromhex("c05b 11 01 00000001") + length.to_bytes(4, "big")
    decoder = Decoder()
    tracemalloc.start()

    with suppress(ProtocolViolation):
        decoder.feed(header)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < MAX_FRAME_BYTES


def test_a_large_stream_needs_no_more_memory_than_its_frames() -> None:
    data = encode(FrameType.DATA, 1, os.urandom(MAX_PAYLOAD_BYTES), flags=1) * 20

    frames_read = Decoder().feed(data)

    assert [len(frame.payload) for frame in frames_read] == [MAX_PAYLOAD_BYTES] * 20
