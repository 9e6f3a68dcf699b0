"""The digests of an image, taken while it is still being written."""

from __future__ import annotations

import ctypes
import hashlib
import os
import threading
from pathlib import Path

from createos_engine.drivers.libvirt.pipe import CHUNK_BYTES
from createos_engine.drivers.libvirt.seen import Seen, stamp

_LIBC = ctypes.CDLL(None, use_errno=True)
_SYNC_FILE_RANGE_WRITE = 2
_LOOK_AGAIN_S = 0.003


class Follower:
    """Reads an image behind whoever writes it from beginning to end, and has it written out meanwhile.

    Only the header changes once more at the end.
    """

    def __init__(self, image: Path, seen: Seen) -> None:
        self._image = image
        self._seen = seen
        self._over = threading.Event()
        self._whole = False

    def end(self, *, whole: bool) -> None:
        """Say that nothing more comes, and whether all has come. The first word counts."""
        if not self._over.is_set():
            self._whole = whole
            self._over.set()

    def run(self) -> None:
        """Follow until the end; the digests of a whole image are in `seen` then. OSError when it cannot be read."""
        while not self._image.exists() and not self._over.wait(_LOOK_AGAIN_S):
            pass
        if self._over.is_set() and not self._whole:
            return
        handle = os.open(self._image, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._follow(handle)
        finally:
            os.close(handle)

    def _follow(self, handle: int) -> None:
        digests = [""]
        while not self._over.wait(_LOOK_AGAIN_S):
            while (len(digests) + 1) * CHUNK_BYTES <= os.fstat(handle).st_size:
                digests.append(_digest(handle, len(digests)))
        if not self._whole:
            return
        before = stamp(handle)
        digests += [_digest(handle, number) for number in range(len(digests), -(-before[0] // CHUNK_BYTES))]
        digests[0] = _digest(handle, 0)
        self._seen.add(handle, before, tuple(digests))


def _digest(handle: int, number: int) -> str:
    offset = number * CHUNK_BYTES
    # Only a hint: whoever needs it on the disk syncs it.
    _LIBC.sync_file_range(handle, ctypes.c_int64(offset), ctypes.c_int64(CHUNK_BYTES), _SYNC_FILE_RANGE_WRITE)
    return hashlib.sha256(os.pread(handle, CHUNK_BYTES, offset)).hexdigest()
