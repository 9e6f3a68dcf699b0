"""Memory images on their way to QEMU: nothing passes unverified, and nobody waits for somebody who is gone."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from createos_engine.drivers.hypervisor import MemoryImage, UnusableImage
from createos_engine.drivers.libvirt.pipe import CHUNK_BYTES, Cancelled, digests_of, feed
from createos_engine.drivers.libvirt.savefile import SaveHeader, decode
from createos_engine.drivers.libvirt.seen import Seen

HEADER = SaveHeader("<domain>parent</domain>", "<cookie/>", was_running=True, data_bytes=4096)


def image(path: Path, stream: bytes) -> MemoryImage:
    path.write_bytes(HEADER.encode() + stream)
    return MemoryImage(path, path.stat().st_size, CHUNK_BYTES, digests_of(path, Seen()))


def passed(memory: MemoryImage, pipe: Path, seen: Seen | None = None) -> bytes:
    """Return what comes out of the pipe, read as libvirt does it."""
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)
    over = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        fed = pool.submit(
            feed, memory, pipe, lambda h: h.with_xml("<domain>child</domain>"), over.is_set, seen or Seen()
        )
        received = pipe.read_bytes()
        over.set()
        fed.result(10)
    return received


@pytest.mark.parametrize("size", [0, 1, 100_000, CHUNK_BYTES + 1, 3 * CHUNK_BYTES])
def test_the_stream_comes_out_as_it_was_behind_another_xml(tmp_path: Path, size: int) -> None:
    stream = os.urandom(size)

    received = passed(image(tmp_path / "memory", stream), tmp_path / "pipe")

    header = decode(received)
    assert header.xml == "<domain>child</domain>"
    assert received[header.stream_offset :] == stream


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES + 1, 3 * CHUNK_BYTES])
def test_an_image_that_was_verified_before_comes_out_the_same_way(tmp_path: Path, size: int) -> None:
    memory, seen = image(tmp_path / "memory", os.urandom(size)), Seen()

    first, second = (passed(memory, tmp_path / "pipe", seen) for _ in range(2))

    assert first == second


def test_an_image_whose_digests_were_just_taken_counts_as_verified(tmp_path: Path) -> None:
    memory, seen = image(tmp_path / "memory", bytes(CHUNK_BYTES)), Seen()

    digests = digests_of(memory.path, seen)

    with memory.path.open("rb") as file:
        assert seen.digests(file.fileno()) == digests


def test_an_image_that_was_written_to_after_it_was_verified_is_verified_again(tmp_path: Path) -> None:
    memory, seen = image(tmp_path / "memory", bytes(2 * CHUNK_BYTES)), Seen()
    passed(memory, tmp_path / "pipe", seen)
    with memory.path.open("r+b") as file:
        file.seek(CHUNK_BYTES)
        file.write(b"\1")
    os.utime(memory.path)  # a clock that stands still would hide a write in the same tick

    with pytest.raises(UnusableImage, match="damaged within the 4 MiB at 1"):
        passed(memory, tmp_path / "pipe", seen)


@pytest.mark.parametrize("at", [5000, CHUNK_BYTES + 10, 3 * CHUNK_BYTES - 1])
def test_of_a_damaged_image_nothing_of_the_damaged_chunk_comes_out(tmp_path: Path, at: int) -> None:
    memory = image(tmp_path / "memory", os.urandom(3 * CHUNK_BYTES))
    with memory.path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))

    received: list[bytes] = []
    os.mkfifo(tmp_path / "pipe")
    over = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        fed = pool.submit(feed, memory, tmp_path / "pipe", lambda h: h, over.is_set, Seen())
        received.append((tmp_path / "pipe").read_bytes())
        over.set()
        with pytest.raises(UnusableImage, match="damaged within the 4 MiB"):
            fed.result(10)

    assert len(received[0]) <= at // CHUNK_BYTES * CHUNK_BYTES


def test_a_truncated_image_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    memory = image(tmp_path / "memory", bytes(1000))
    os.truncate(memory.path, memory.bytes - 1)

    with pytest.raises(UnusableImage, match="bytes instead of"):
        feed(memory, tmp_path / "pipe", lambda h: h, lambda: True, Seen())


def test_a_reader_that_never_comes_is_not_waited_for(tmp_path: Path) -> None:
    memory = image(tmp_path / "memory", bytes(1000))
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(Cancelled):
        feed(memory, tmp_path / "pipe", lambda h: h, lambda: True, Seen())
