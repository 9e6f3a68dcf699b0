"""Disks as the engine sees them, qcow2 headers and all, whose content is a list of words that were written."""

from __future__ import annotations

import struct
from pathlib import Path

from createos_engine.drivers import qcow2
from createos_engine.errors import HostFailed

from tests.fakes.moments import Moments

_DATA = 4096


class FakeDisks:
    """Makes files in no time; a moment lies before and after each."""

    def __init__(self, moments: Moments) -> None:
        self._moments = moments

    async def create_overlay(self, base: Path, overlay: Path, size_mib: int) -> None:
        """Make an empty disk on a base image."""
        overlay.write_bytes(_header(base))
        self._moments.host("overlay made")

    async def create_on_layer(self, layer: Path, overlay: Path) -> None:
        """Make an empty disk on a frozen one."""
        if not layer.is_file():
            raise HostFailed(f"the disk {layer} is gone")
        overlay.write_bytes(_header(layer))
        self._moments.host("disk on a layer written")

    async def flatten(self, overlay: Path, base: Path) -> None:
        """Let a disk stand on its base alone."""
        self._moments.host("disk about to be flattened")
        content = words(overlay)
        overlay.write_bytes(_header(base) + content)
        self._moments.host("disk flattened")


def words(disk: Path) -> bytes:
    """Return everything that was ever written to a disk and the ones below it, the oldest first."""
    files = [disk, *qcow2.chain(disk)]
    return b"".join(file.read_bytes()[_DATA:] for file in reversed(files) if file.exists())


def write(disk: Path, word: bytes) -> None:
    """Write as a guest does: at the end of the disk's own file."""
    with disk.open("ab") as file:
        file.write(word)


def _header(below: Path) -> bytes:
    name = str(below).encode()
    start = struct.pack(">4sIQI", b"QFI\xfb", 3, 512, len(name))
    return (start.ljust(512, b"\0") + name).ljust(_DATA, b"\0")
