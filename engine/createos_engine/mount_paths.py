"""Where in a sandbox an S3 disk may be mounted, and which folder of it (wire-api 14.2)."""

from __future__ import annotations

import unicodedata

# What the kernel and the guest's init keep there is not to be covered.
_TAKEN = frozenset({"proc", "sys", "dev", "run"})
_STEPS = frozenset({"", ".", ".."})
_MOST_BYTES = 1024


def checked_mount_path(text: str) -> str:
    """Return a path without a slash at its end, else raise ValueError with the rule that is broken."""
    path = text.rstrip("/")
    if not text.startswith("/"):
        raise ValueError(f"the mount path {_shown(text)} is not absolute; begin it with /, as in /mnt/data")
    first, *others = path[1:].split("/")
    if not path:
        raise ValueError("a disk cannot be mounted at /; choose a directory, as /mnt/data")
    if first in _TAKEN:
        raise ValueError(f"nothing can be mounted at or below /{first}; choose another place, as /mnt/data")
    _require_plain("mount path", path, [first, *others])
    return path


def checked_sub_path(text: str) -> str:
    """Return a folder of a bucket without a slash at its end, else raise ValueError with the rule that is broken."""
    if text.startswith("/"):
        raise ValueError(f"the sub path {_shown(text)} begins with /; name the folder as the bucket does: logs/app")
    path = text.removesuffix("/")
    if path:
        _require_plain("sub path", path, path.split("/"))
    return path


def _require_plain(what: str, path: str, parts: list[str]) -> None:
    if not _STEPS.isdisjoint(parts):
        raise ValueError(f"the {what} {_shown(path)} has a part that is empty, . or ..; write it without")
    if any(unicodedata.category(char) == "Cc" for char in path) or "\\" in path:
        raise ValueError(f"the {what} {_shown(path)} has a control character or a backslash; leave it out")
    if len(path.encode()) > _MOST_BYTES:
        raise ValueError(f"the {what} is longer than {_MOST_BYTES} bytes; use a shorter one")


def _shown(path: str) -> str:
    return repr(path[:80])


def nested(one: str, other: str) -> bool:
    """Tell whether one of two checked mount paths is below the other: the one mounted last would hide what is there."""
    return f"{one}/".startswith(f"{other}/") != f"{other}/".startswith(f"{one}/")
