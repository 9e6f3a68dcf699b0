"""What a qcow2 file says it stands on, read without qemu-img (QEMU docs/interop/qcow2.txt)."""

from __future__ import annotations

import struct
from pathlib import Path

from createos_engine.errors import HostFailed

_MAGIC = b"QFI\xfb"
_HEADER = struct.Struct(">4sIQI")
_LONGEST_NAME_BYTES = 1023


def backing(path: Path) -> Path | None:
    """Return the file that *path* stands on, None for a raw file or one that stands alone; HostFailed if unreadable."""
    try:
        with path.open("rb") as file:
            start = file.read(_HEADER.size)
            if not start.startswith(_MAGIC):
                return None
            if len(start) < _HEADER.size:
                raise HostFailed(f"{path} is damaged: it ends inside its header")
            _, _, offset, size = _HEADER.unpack(start)
            if not offset:
                return None
            file.seek(offset)
            name = file.read(min(size, _LONGEST_NAME_BYTES))
    except OSError as exc:
        raise HostFailed(f"{path} cannot be read: {exc.strerror}") from exc
    if not name or len(name) < size:
        raise HostFailed(f"{path} is damaged: the name of the file it stands on is not there")
    return Path(name.decode(errors="surrogateescape"))


def chain(path: Path) -> tuple[Path, ...]:
    """Return the files below *path*, nearest first."""
    found: list[Path] = []
    below = backing(path)
    while below is not None and below not in found:
        found.append(below)
        below = backing(below)
    return tuple(found)


def readable_chain(path: Path) -> tuple[Path, ...]:
    """Return what `chain` does, and nothing for a file that is damaged or stands on one that is not there."""
    try:
        return chain(path)
    except HostFailed:
        return ()
