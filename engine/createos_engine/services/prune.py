"""What can go: files of the image cache that nobody has used for a while, and what was left in the state directory.

The daemon clears its own state directory all the time; the cache is shared by engines that do not know each other.
Whoever uses a file of it touches that file every few hours, so that age says whether it is needed.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from createos_images.cache import Cache

from createos_engine.drivers.qcow2 import readable_chain
from createos_engine.errors import HostFailed
from createos_engine.paths import Paths
from createos_engine.services.usage import Holding
from createos_engine.words import Sandbox

TOUCH_EVERY_S = 6 * 3600.0
_REBUILT = frozenset({"guest agent", "initramfs"})


def in_use(paths: Paths, cache: Cache, rows: Iterable[Sandbox]) -> set[Path]:
    """Return the images that sandboxes and frozen disks stand on. A disk that cannot be read keeps nobody from that."""
    used = {cache.bases / f"{row.base_digest}.raw" for row in rows}
    below = (file for layer in paths.layers.glob("*.qcow2") for file in readable_chain(layer))
    return used | {file for file in below if file.parent == cache.bases}


def touch(files: Iterable[Path]) -> None:
    """Say that files are used; those of a cache that one may not write are not pruned by others either."""
    for file in files:
        with suppress(OSError):
            os.utime(file)


def of_no_use(holdings: Iterable[Holding], cache: Cache, *, older_than_s: float, bases: bool) -> list[Holding]:
    """Return what nobody has used for a while: what can be rebuilt, with *bases* also images without a name or holder.

    Whatever a program has on its command line stays.
    """
    named = _command_lines()
    oldest = time.time() - older_than_s
    found = []
    for holding in holdings:
        if holding.held_by or holding.path.parent not in (cache.agents, cache.initramfs, cache.bases):
            continue
        wanted = holding.kind in _REBUILT or (bases and holding.kind == "base image")
        if wanted and holding.path.lstat().st_mtime < oldest and str(holding.path) not in named:
            found.append(holding)
    return found


def remove(holdings: Iterable[Holding]) -> None:
    """Delete them; raise HostFailed at the first that cannot be."""
    for holding in holdings:
        try:
            shutil.rmtree(holding.path) if holding.path.is_dir() else holding.path.unlink(missing_ok=True)
        except OSError as exc:
            raise HostFailed(f"{holding.path} cannot be removed: {exc.strerror}", hint="run it as root") from exc


def _command_lines() -> str:
    texts = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                texts.append((entry / "cmdline").read_text(errors="replace"))
    return "\n".join(texts)
