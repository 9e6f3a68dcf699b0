"""The bytes of a frame, as images/agent/PROTOCOL.md has them."""

from __future__ import annotations

import pytest
from createos_engine.drivers.channel.errors import ProtocolViolation
from createos_engine.drivers.channel.frames import MAX_PAYLOAD_BYTES, MORE, Decoder, Frame, FrameType, encode


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (encode(FrameType.OPEN, 1, b"{}", flags=MORE), "c05b 10 01 00000001 00000002 7b7d"),
        (encode(FrameType.DATA, 0x01020304, b"hi", flags=2), "c05b 11 02 01020304 00000002 6869"),
        (encode(FrameType.EOF, 7), "c05b 12 00 00000007 00000000"),
        (encode(FrameType.CREDIT, 1, b"\x00\x01\x00\x00"), "c05b 13 00 00000001 00000004 00010000"),
        (encode(FrameType.CANCEL, 9), "c05b 16 00 00000009 00000000"),
    ],
)
def test_a_frame_is_twelve_bytes_and_its_payload(written: bytes, expected: str) -> None:
    assert written == bytes.fromhex(expected)


def test_what_does_not_fit_into_a_frame_is_a_bug_of_the_caller() -> None:
    with pytest.raises(ValueError, match="65525 bytes do not fit into one frame; at most 65524 do"):
        encode(FrameType.DATA, 1, bytes(MAX_PAYLOAD_BYTES + 1))


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("0000 11 01 00000001 00000001", "begins with 0x0000 instead of 0xc05b"),
        ("c05b 77 00 00000001 00000000", "unknown type 0x77"),
        ("c05b 11 01 00000001 0000fff5", "a frame DATA says it has 65525 bytes; 1 to 65524 are allowed"),
        ("c05b 11 01 00000001 00000000", "a frame DATA says it has 0 bytes"),
        ("c05b 12 01 00000001 00000001", "a frame EOF says it has 1 bytes; 0 to 0 are allowed"),
        ("c05b 13 00 00000001 00000005", "a frame CREDIT says it has 5 bytes; 4 to 4 are allowed"),
        ("c05b 11 03 00000001 00000001", "a frame DATA has flags 0x03 and stream 1"),
        ("c05b 14 01 00000001 00000002", "a frame EXIT has flags 0x01"),
        ("c05b 14 00 00000000 00000002", "a frame EXIT has flags 0x00 and stream 0"),
        ("c05b 02 00 00000001 00000020", "a frame READY has flags 0x00 and stream 1"),
    ],
)
def test_a_header_that_cannot_be_is_refused_before_its_payload(header: str, reason: str) -> None:
    with pytest.raises(ProtocolViolation, match=reason):
        Decoder().feed(bytes.fromhex(header))


def test_frames_before_a_fault_are_delivered_first() -> None:
    decoder = Decoder()

    delivered = decoder.feed(encode(FrameType.EOF, 1, flags=1) + b"this is no frame")

    assert delivered == [Frame(FrameType.EOF, 1, 1, b"")]
    with pytest.raises(ProtocolViolation):
        decoder.feed(b"")
