"""The header of save images: what is written is read back, and nothing that is damaged is believed."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from createos_engine.drivers.hypervisor import UnusableImage
from createos_engine.drivers.libvirt.savefile import HEADER_BYTES, UNFINISHED, SaveHeader, decode
from hypothesis import given
from hypothesis import strategies as st

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=300)
HEADERS = st.builds(
    SaveHeader, xml=TEXT, cookie=TEXT | st.just(""), was_running=st.booleans(), data_bytes=st.integers(3000, 9000)
)


@given(HEADERS, st.binary(max_size=64))
def test_a_header_that_was_written_is_read_back_whatever_follows(header: SaveHeader, stream: bytes) -> None:
    encoded = header.encode()

    assert decode(encoded + stream) == header
    assert len(encoded) == header.stream_offset


@given(HEADERS, TEXT)
def test_another_xml_fits_in_place_and_leaves_the_rest_as_it_was(header: SaveHeader, xml: str) -> None:
    changed = header.with_xml(xml)

    assert changed.stream_offset == header.stream_offset
    assert decode(changed.encode()) == changed
    assert (changed.xml, changed.cookie, changed.was_running) == (xml, header.cookie, header.was_running)


@given(HEADERS)
def test_an_xml_that_does_not_fit_moves_the_stream(header: SaveHeader) -> None:
    xml = "x" * 20_000

    changed = header.with_xml(xml)

    assert changed.data_bytes > header.data_bytes
    assert decode(changed.encode()).xml == xml


@given(HEADERS, st.data())
def test_a_header_that_was_cut_short_is_refused(header: SaveHeader, data: st.DataObject) -> None:
    encoded = header.encode()
    length = data.draw(st.integers(0, len(encoded) - 1))

    with pytest.raises(UnusableImage, match="resume --cold|cannot be used"):
        decode(encoded[:length])


@given(st.binary(max_size=400))
def test_any_bytes_at_all_are_read_or_refused(start: bytes) -> None:
    with suppress(UnusableImage):
        decode(start)


@given(HEADERS, st.integers(16, HEADER_BYTES - 57), st.integers(0, 7))
def test_a_flipped_bit_in_the_numbers_is_refused_or_harmless(header: SaveHeader, at: int, bit: int) -> None:
    encoded = bytearray(header.encode())
    encoded[at] ^= 1 << bit

    with suppress(UnusableImage):
        decode(bytes(encoded)).encode()


@pytest.mark.parametrize(
    ("offset", "value", "said"),
    [
        (0, UNFINISHED, "never finished"),
        (0, b"QEVMQEVMQEVMQEVM", "does not begin as a save image"),
        (16, struct.pack("<I", 3), "has version 3"),
        (28, struct.pack("<I", 1), "is compressed"),
        (20, struct.pack("<I", 2**31), "lengths in it are not possible"),
        (32, struct.pack("<I", 2**31), "lengths in it are not possible"),
    ],
)
def test_the_reason_of_a_refusal_is_said(offset: int, value: bytes, said: str) -> None:
    encoded = bytearray(SaveHeader("<domain/>", "<cookie/>", was_running=True, data_bytes=100).encode())
    encoded[offset : offset + len(value)] = value

    with pytest.raises(UnusableImage, match=said) as refused:
        decode(bytes(encoded))

    assert "resume --cold" in refused.value.hint
