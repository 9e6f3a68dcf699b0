"""Memory images whose digests were taken or compared since the daemon started, and not written to since.

A file is the same as long as device, inode, size and time of its last write are: whoever writes to it through the file
system changes the last of these. Only root can, and root is trusted; what a disk forgets by itself is found by the
next daemon.
"""

from __future__ import annotations

import os
from collections import OrderedDict

_MOST = 1024
Stamp = tuple[int, int]
Digests = tuple[str, ...]


class Seen:
    """Remembers images that were compared with their digests. Used by several threads, each step of it is atomic."""

    def __init__(self) -> None:
        self._files: OrderedDict[tuple[int, int], tuple[Stamp, Digests]] = OrderedDict()

    def digests(self, handle: int) -> Digests | None:
        """Return the digests of an open file that is as it was when they were taken or compared."""
        status = os.fstat(handle)
        known, digests = self._files.get((status.st_dev, status.st_ino), (None, None))
        return digests if known == _stamp(status) else None

    def add(self, handle: int, before: Stamp, digests: Digests) -> None:
        """Remember an open file with its digests, unless it was written to since *before*."""
        status = os.fstat(handle)
        if _stamp(status) != before:
            return
        self._files[status.st_dev, status.st_ino] = before, digests
        while len(self._files) > _MOST:
            self._files.popitem(last=False)


def stamp(handle: int) -> Stamp:
    """Return what changes when an open file is written to."""
    return _stamp(os.fstat(handle))


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_size, status.st_mtime_ns
