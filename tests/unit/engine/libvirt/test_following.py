"""Digests that are taken while an image is written are those of the image as it is in the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from createos_engine.drivers.libvirt.following import Follower
from createos_engine.drivers.libvirt.pipe import CHUNK_BYTES, digests_of
from createos_engine.drivers.libvirt.seen import Seen


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def known(image: Path, seen: Seen) -> tuple[str, ...] | None:
    with image.open("rb") as file:
        return seen.digests(file.fileno())


def begin(pool: ThreadPoolExecutor, image: Path, seen: Seen) -> tuple[Follower, Future[None]]:
    follower = Follower(image, seen)
    return follower, pool.submit(follower.run)


@pytest.mark.parametrize("size", [1, CHUNK_BYTES - 1, CHUNK_BYTES, 3 * CHUNK_BYTES, 3 * CHUNK_BYTES + 5])
def test_what_is_written_in_pieces_and_begun_anew_at_the_end_has_the_digests_of_the_whole(
    tmp_path: Path, pool: ThreadPoolExecutor, size: int
) -> None:
    image, seen, content = tmp_path / "memory", Seen(), os.urandom(size)
    follower, following = begin(pool, image, seen)

    with image.open("wb", buffering=0) as file:
        for offset in range(0, size, CHUNK_BYTES // 2):
            file.write(content[offset : offset + CHUNK_BYTES // 2])
        os.pwrite(file.fileno(), b"!", 0)
    follower.end(whole=True)
    following.result(30)

    assert known(image, seen) == digests_of(image, Seen())


def test_an_image_that_did_not_become_whole_is_not_known(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    image, seen = tmp_path / "memory", Seen()
    follower, following = begin(pool, image, seen)

    image.write_bytes(bytes(2 * CHUNK_BYTES))
    follower.end(whole=False)
    follower.end(whole=True)
    following.result(30)

    assert known(image, seen) is None


def test_an_image_that_was_never_begun_is_waited_for_until_the_end(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    follower, following = begin(pool, tmp_path / "memory", Seen())

    follower.end(whole=False)

    following.result(30)
