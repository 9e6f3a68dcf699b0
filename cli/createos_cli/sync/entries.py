"""What a path is, on one side or by the last agreement. Plain data, shared by everything here."""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import NamedTuple

# Nothing with a longer path, deeper, or in larger numbers is synchronised; the guest agent keeps the same bounds.
LONGEST_PATH_BYTES = 4096
LONGEST_NAME_BYTES = 255
DEEPEST = 128
MOST_ENTRIES = 400_000
# Where half-written files wait, below each root.
STAGING = ".createos-sync-tmp"


class Kind(IntEnum):
    """As in PROTOCOL.md; OTHER is what cannot be synchronised and therefore is not touched."""

    ABSENT = 0
    FILE = 1
    DIRECTORY = 2
    SYMLINK = 3
    OTHER = 4


class Side(Enum):
    """Which of the two trees."""

    LOCAL = "local"
    REMOTE = "remote"

    @property
    def other(self) -> Side:
        """The opposite side."""
        return Side.REMOTE if self is Side.LOCAL else Side.LOCAL


class Version(NamedTuple):
    """A state of a file without its bytes: no write leaves all four as they were."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


NO_VERSION = Version(0, 0, 0, 0)


class Entry(NamedTuple):
    """What a scan found. *mode* has only the bits both sides share; *why* explains OTHER."""

    kind: Kind
    mode: int = 0
    version: Version = NO_VERSION
    target: str = ""
    why: str = ""


ABSENT = Entry(Kind.ABSENT)
Tree = dict[str, Entry]


class Agreed(NamedTuple):
    """What both sides had when they last agreed. A version is None when a write might have gone unnoticed."""

    kind: Kind
    mode: int = 0
    size: int = 0
    digest: bytes = b""
    target: str = ""
    local: Version | None = None
    remote: Version | None = None

    def version(self, side: Side) -> Version | None:
        """The version that carried the agreed content on one side."""
        return self.local if side is Side.LOCAL else self.remote


def shared_mode(kind: Kind, mode: int) -> int:
    """Keep the permission bits that are carried over.

    Never setuid and the like, nor write permission for group and others: a guest must not open a file of the host to
    others. The owner can always read.
    """
    if kind is Kind.FILE:
        return mode & 0o755 | 0o400
    return mode & 0o755 | 0o700 if kind is Kind.DIRECTORY else 0


def path_is_clean(path: str) -> bool:
    """Say whether a path is relative, stays inside, has bearable lengths and is not the staging directory."""
    encoded = path.encode(errors="surrogateescape")
    if not path or len(encoded) > LONGEST_PATH_BYTES or "\0" in path:
        return False
    parts = encoded.split(b"/")
    if len(parts) > DEEPEST or parts[0] == STAGING.encode():
        return False
    return all(part not in (b"", b".", b"..") and len(part) <= LONGEST_NAME_BYTES for part in parts)


def link_problem(path: str, target: str) -> str:
    """Return why a link is not carried over, empty when it is.

    Only `..` at the beginning, no more often than the link lies deep: followed from real directories that cannot
    leave the root, whatever other links are in it.
    """
    if not target or len(target.encode(errors="surrogateescape")) >= LONGEST_PATH_BYTES or "\0" in target:
        return "a link to nowhere"
    if target.startswith("/"):
        return "a link with an absolute target"
    parts = [part for part in target.split("/") if part not in ("", ".")]
    ups = next((place for place, part in enumerate(parts) if part != ".."), len(parts))
    if ups > path.count("/") or ".." in parts[ups:]:
        return "a link that may leave the directory"
    return ""


def parent_of(path: str) -> str:
    """Return the directory of a path; empty for the root."""
    return path.rpartition("/")[0]
