"""How libvirt gets a memory image: through a pipe, with another header, and no chunk of it unverified."""

from __future__ import annotations

import fcntl
import hashlib
import os
import select
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic

from createos_engine.drivers.hypervisor import MemoryImage, UnusableImage
from createos_engine.drivers.libvirt.savefile import SaveHeader, decode

CHUNK_BYTES = 4 * 2**20
_F_SETPIPE_SZ = 1031
_PIPE_BYTES = 2**20
_POLL_MS = 100
_RETRY_S = 0.005
# QEMU reads as fast as it can; one that does not read at all for so long will not any more.
_STALLED_S = 60.0


class Cancelled(Exception):
    """Nobody will read the rest."""


def digests_of(path: Path) -> tuple[str, ...]:
    """Return the SHA-256 of every chunk of a file."""
    with path.open("rb", buffering=0) as file:
        return tuple(hashlib.sha256(chunk).hexdigest() for chunk in _chunks(file.fileno()))


def verified(handle: int, image: MemoryImage) -> Iterator[bytes]:
    """Return the chunks of an open image, each after it was found to be what it was; else raise UnusableImage."""
    if (size := os.fstat(handle).st_size) != image.bytes:
        raise UnusableImage(f"it has {size} bytes instead of {image.bytes}")
    for number, (chunk, wanted) in enumerate(zip(_chunks(handle), image.digests, strict=True)):
        if hashlib.sha256(chunk).hexdigest() != wanted:
            raise UnusableImage(f"it is damaged within the {image.chunk_bytes // 2**20} MiB at {number}")
        yield chunk


def feed(image: MemoryImage, pipe: Path, change: Callable[[SaveHeader], SaveHeader], over: Callable[[], bool]) -> None:
    """Write *image* with a changed header into *pipe*; raise UnusableImage, or Cancelled when *over* turns true."""
    try:
        source = os.open(image.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _feed(source, image, pipe, change, over)
        finally:
            os.close(source)
    except BaseException:
        _end_of_file(pipe, over)
        raise


def _feed(
    source: int, image: MemoryImage, pipe: Path, change: Callable[[SaveHeader], SaveHeader], over: Callable[[], bool]
) -> None:
    chunks = verified(source, image)
    first = next(chunks, b"")
    header = decode(first)
    start = change(header).encode() + first[header.stream_offset :]
    target = _open_pipe(pipe, over)
    try:
        _write(target, start, over)
        for chunk in chunks:
            _write(target, chunk, over)
    finally:
        os.close(target)


def _end_of_file(pipe: Path, over: Callable[[], bool]) -> None:
    """Let libvirt's reading end, whether it has opened the pipe already or will: it waits for a writer for ever."""
    while not over():
        with suppress(OSError):
            os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        select.select((), (), (), _RETRY_S)


def _chunks(handle: int) -> Iterator[bytes]:
    offset = 0
    while chunk := os.pread(handle, CHUNK_BYTES, offset):
        yield chunk
        offset += len(chunk)


def _open_pipe(pipe: Path, over: Callable[[], bool]) -> int:
    """Open the writing end as soon as libvirt has opened the other one."""
    while not over():
        try:
            handle = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            select.select((), (), (), _RETRY_S)
            continue
        fcntl.fcntl(handle, _F_SETPIPE_SZ, _PIPE_BYTES)
        return handle
    raise Cancelled


def _write(handle: int, data: bytes, over: Callable[[], bool]) -> None:
    rest, poll, last = memoryview(data), select.poll(), monotonic()
    poll.register(handle, select.POLLOUT)
    while rest:
        if poll.poll(_POLL_MS):
            try:
                rest = rest[os.write(handle, rest) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise Cancelled from None
            last = monotonic()
        elif over() or monotonic() - last > _STALLED_S:
            raise Cancelled
