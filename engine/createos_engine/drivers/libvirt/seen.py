"""Memory images that were found whole since the daemon started and have not been written to since.

A file is the same as long as device, inode, size and time of its last write are: whoever writes to it through the file
system changes the last of these. Only root can, and root is trusted; what a disk forgets by itself is found by the
next daemon.
"""

from __future__ import annotations

import os
from collections import OrderedDict

_MOST = 1024
Stamp = tuple[int, int]


class Seen:
    """Remembers images that were compared with their digests. Used by several threads, each step of it is atomic."""

    def __init__(self) -> None:
        self._files: OrderedDict[tuple[int, int], Stamp] = OrderedDict()

    def knows(self, handle: int) -> bool:
        """Tell whether an open file is as it was when it was compared."""
        status = os.fstat(handle)
        return self._files.get((status.st_dev, status.st_ino)) == _stamp(status)

    def add(self, handle: int, before: Stamp) -> None:
        """Remember an open file that was compared, unless it was written to since *before*."""
        status = os.fstat(handle)
        if _stamp(status) != before:
            return
        self._files[status.st_dev, status.st_ino] = before
        while len(self._files) > _MOST:
            self._files.popitem(last=False)


def stamp(handle: int) -> Stamp:
    """Return what changes when an open file is written to."""
    return _stamp(os.fstat(handle))


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_size, status.st_mtime_ns
