"""A writer for the archive that the kernel unpacks as its first root ("newc", Documentation/…/buffer-format.rst).

The same entries give the same bytes: sorted by name, owned by root, dated 1970.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass

MAGIC = b"070701"
TRAILER = "TRAILER!!!"
BLOCK = 512
"""Archives end on this boundary, as GNU cpio writes them."""


@dataclass(frozen=True)
class Entry:
    """A file or directory; *name* has no leading slash, *mode* includes the type bits."""

    name: str
    mode: int
    data: bytes = b""


def file(name: str, data: bytes, permissions: int = 0o644) -> Entry:
    """Return a regular file."""
    return Entry(name, stat.S_IFREG | permissions, data)


def directory(name: str, permissions: int = 0o755) -> Entry:
    """Return an empty directory."""
    return Entry(name, stat.S_IFDIR | permissions)


def archive(entries: Iterable[Entry]) -> bytes:
    """Return the archive of *entries*; directories sort before what is in them."""
    parts = [_member(entry, number) for number, entry in enumerate(sorted(entries, key=lambda e: e.name), start=1)]
    parts.append(_member(Entry(TRAILER, 0), 0))
    return _padded(b"".join(parts), BLOCK)


def _member(entry: Entry, number: int) -> bytes:
    name = entry.name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    # inode, mode, uid, gid, links, mtime, size, device (2), special device (2), length of the name, checksum
    fields = (number, entry.mode, 0, 0, links, 0, len(entry.data), 0, 0, 0, 0, len(name), 0)
    header = MAGIC + b"".join(b"%08X" % field for field in fields)
    return _padded(header + name, 4) + _padded(entry.data, 4)


def _padded(data: bytes, boundary: int) -> bytes:
    return data + b"\0" * (-len(data) % boundary)
