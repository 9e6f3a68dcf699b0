"""Which bytes a file has: known from the last agreement or from reading, or not known and not needed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from createos_cli.sync.entries import ABSENT, Agreed, Entry, Kind, Side, Tree, Version

EMPTY = hashlib.sha256(b"").digest()


@dataclass
class Pair:
    """The two trees, what they agreed on, and the digests that were read since.

    *unsettled* are files that were so new when they were read that another write might not show.
    """

    base: Mapping[str, Agreed]
    local: Tree = field(default_factory=dict)
    remote: Tree = field(default_factory=dict)
    digests: dict[tuple[Side, str, Version], bytes] = field(default_factory=dict)
    unsettled: set[tuple[Side, str]] = field(default_factory=set)

    def tree(self, side: Side) -> Tree:
        """One of the trees."""
        return self.local if side is Side.LOCAL else self.remote

    def entry(self, side: Side, path: str) -> Entry:
        """What a path is on one side."""
        return self.tree(side).get(path, ABSENT)

    def digest(self, side: Side, path: str) -> bytes:
        """The digest of a file, empty when it is not known."""
        entry, agreed = self.entry(side, path), self.base.get(path)
        if entry.kind is Kind.FILE and entry.version.size == 0:
            return EMPTY
        if agreed and agreed.kind is Kind.FILE and agreed.version(side) == entry.version:
            return agreed.digest
        return self.digests.get((side, path, entry.version), b"")

    def is_agreed(self, side: Side, path: str) -> bool:
        """Say whether a path has the content that was agreed; the mode is not looked at. A missing path has not."""
        entry, agreed = self.entry(side, path), self.base.get(path)
        if agreed is None or agreed.kind is not entry.kind:
            return False
        if entry.kind is Kind.FILE:
            return entry.version.size == agreed.size and self.digest(side, path) == agreed.digest
        return entry.kind is not Kind.SYMLINK or entry.target == agreed.target

    def is_same(self, path: str) -> bool:
        """Say whether both sides have the same content; modes are not looked at."""
        local, remote = self.entry(Side.LOCAL, path), self.entry(Side.REMOTE, path)
        if local.kind is not remote.kind:
            return False
        if local.kind is Kind.FILE:
            digest = self.digest(Side.LOCAL, path)
            return (
                local.version.size == remote.version.size and digest != b"" and digest == self.digest(Side.REMOTE, path)
            )
        return local.target == remote.target


def agreement(pair: Pair, path: str) -> Agreed:
    """Return what both sides have, as the agreement to keep."""
    local = pair.entry(Side.LOCAL, path)
    if local.kind is not Kind.FILE:
        return Agreed(local.kind, local.mode, target=local.target)
    versions = [None if (side, path) in pair.unsettled else pair.entry(side, path).version for side in Side]
    return Agreed(local.kind, local.mode, local.version.size, pair.digest(Side.LOCAL, path), "", *versions)


def to_read(pair: Pair) -> set[tuple[Side, str]]:
    """Return the files whose bytes decide something and are not known.

    A file must be read when it may still be what was agreed, when both sides may have the same, or when it may be one
    that was renamed. What only one side has, or what differs in size, is transferred without being read before.
    """
    wanted: set[tuple[Side, str]] = set()
    for path in pair.local.keys() | pair.remote.keys():
        sizes = {side: _size(pair, side, path) for side in Side}
        agreed = pair.base.get(path)
        for side, size in sizes.items():
            rivals = {sizes[side.other], agreed.size if agreed and agreed.kind is Kind.FILE else None}
            if size is not None and size in rivals and not pair.digest(side, path):
                wanted.add((side, path))
    return wanted | {found for side in Side for found in _maybe_renamed(pair, side)}


def _maybe_renamed(pair: Pair, side: Side) -> set[tuple[Side, str]]:
    tree = pair.tree(side)
    gone = {agreed.size for path, agreed in pair.base.items() if agreed.kind is Kind.FILE and path not in tree}
    gone.discard(0)
    return {
        (side, path)
        for path, entry in tree.items()
        if entry.kind is Kind.FILE
        and entry.version.size in gone
        and path not in pair.base
        and not pair.digest(side, path)
    }


def _size(pair: Pair, side: Side, path: str) -> int | None:
    entry = pair.entry(side, path)
    return entry.version.size if entry.kind is Kind.FILE else None
