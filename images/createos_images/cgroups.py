"""Control groups of builds: what buildah and runc leave when they are killed."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_EMPTY_S = 5.0


def remove(name: str) -> None:
    """Remove a group and those in it, from every hierarchy; blocks. *name* begins with a slash.

    A process that was killed is in its group until the kernel has torn it down, which lasts longer than its files and
    pipes do. A group that stays in use for seconds is left alone.
    """
    deadline = time.monotonic() + _EMPTY_S
    for root in (_ROOT, *_ROOT.glob("*")):
        place = root / name.removeprefix("/")
        while not _removed(place) and time.monotonic() < deadline:
            time.sleep(0.01)


def _removed(place: Path) -> bool:
    inner = sorted(place.rglob("*"), reverse=True) if place.is_dir() else []
    for group in (*inner, place):
        # Its files go with it, and need no removing.
        with suppress(OSError):
            group.rmdir()
    return not place.exists()
