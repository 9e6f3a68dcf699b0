"""How libvirt gets a memory image: through a pipe, with another header, and no chunk of it unverified.

An image that was verified before and has not been written to since goes from the page cache into the pipe uncopied.
"""

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
from createos_engine.drivers.libvirt.savefile import MOST_START_BYTES, SaveHeader, decode
from createos_engine.drivers.libvirt.seen import Seen, stamp

CHUNK_BYTES = 4 * 2**20
_F_SETPIPE_SZ = 1031
_PIPE_BYTES = 2**20
_POLL_MS = 100
_RETRY_S = 0.005
# QEMU reads as fast as it can; one that does not read at all for so long will not any more.
_STALLED_S = 60.0


class Cancelled(Exception):
    """Nobody will read the rest."""


def digests_of(path: Path, seen: Seen) -> tuple[str, ...]:
    """Return the SHA-256 of every chunk of a file, unless they were *seen* before."""
    with path.open("rb", buffering=0) as file:
        handle = file.fileno()
        if known := seen.digests(handle):
            return known
        before = stamp(handle)
        digests = tuple(hashlib.sha256(chunk).hexdigest() for chunk in _chunks(handle))
        seen.add(handle, before, digests)
        return digests


def verified(handle: int, image: MemoryImage) -> Iterator[bytes]:
    """Return the chunks of an open image, each after it was found to be what it was; else raise UnusableImage."""
    if (size := os.fstat(handle).st_size) != image.bytes:
        raise UnusableImage(f"it has {size} bytes instead of {image.bytes}")
    for number, (chunk, wanted) in enumerate(zip(_chunks(handle), image.digests, strict=True)):
        if hashlib.sha256(chunk).hexdigest() != wanted:
            raise UnusableImage(f"it is damaged within the {image.chunk_bytes // 2**20} MiB at {number}")
        yield chunk


Change = Callable[[SaveHeader], SaveHeader]
Over = Callable[[], bool]


def feed(image: MemoryImage, pipe: Path, change: Change, over: Over, seen: Seen) -> None:
    """Write *image* with a changed header into *pipe*; raise UnusableImage, or Cancelled when *over* turns true."""
    try:
        source = os.open(image.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if seen.digests(source) == image.digests:
                _pass_on(source, image, pipe, change, over)
            else:
                before = stamp(source)
                _feed(source, image, pipe, change, over)
                seen.add(source, before, image.digests)
        finally:
            os.close(source)
    except BaseException:
        _end_of_file(pipe, over)
        raise


def _feed(source: int, image: MemoryImage, pipe: Path, change: Change, over: Over) -> None:
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


def _pass_on(source: int, image: MemoryImage, pipe: Path, change: Change, over: Over) -> None:
    header = decode(os.pread(source, MOST_START_BYTES, 0))
    target = _open_pipe(pipe, over)
    try:
        _write(target, change(header).encode(), over)
        _splice(source, header.stream_offset, image.bytes, target, over)
    finally:
        os.close(target)


def _end_of_file(pipe: Path, over: Over) -> None:
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


def _open_pipe(pipe: Path, over: Over) -> int:
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


def _write(handle: int, data: bytes, over: Over) -> None:
    rest = memoryview(data)

    def more() -> bool:
        nonlocal rest
        rest = rest[os.write(handle, rest) :]
        return bool(rest)

    if rest:
        _until_done(handle, more, over)


def _splice(source: int, offset: int, end: int, handle: int, over: Over) -> None:
    def more() -> bool:
        nonlocal offset
        moved = os.splice(source, handle, end - offset, offset_src=offset, flags=os.SPLICE_F_NONBLOCK)
        if not moved:
            raise UnusableImage(f"it ends after {offset} of {end} bytes")
        offset += moved
        return offset < end

    if offset < end:
        _until_done(handle, more, over)


def _until_done(handle: int, more: Callable[[], bool], over: Over) -> None:
    """Call *more* whenever there is room in a pipe, until it says that there is nothing left."""
    poll, last = select.poll(), monotonic()
    poll.register(handle, select.POLLOUT)
    while True:
        if poll.poll(_POLL_MS):
            try:
                if not more():
                    return
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise Cancelled from None
            last = monotonic()
        elif over() or monotonic() - last > _STALLED_S:
            raise Cancelled
