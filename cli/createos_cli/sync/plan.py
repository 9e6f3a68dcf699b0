"""What has to be done so that two trees agree. Pure: it looks at a Pair and touches nothing.

An edit always wins against a removal. Two different edits are a conflict: the remote copy is renamed, and the next pass
carries both copies over. In the modes one-way and mirror nothing is done on the local side and the local content wins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum

from createos_cli.sync.contents import Pair, agreement
from createos_cli.sync.entries import ABSENT, Agreed, Entry, Kind, Side, parent_of


class Mode(Enum):
    """What `--mode` says (cli-behaviour 6.3)."""

    TWO_WAY = "two-way"
    ONE_WAY = "one-way"
    MIRROR = "mirror"


class Verb(Enum):
    """What can be done to a path."""

    MKDIR = "create directory"
    PUT = "copy"
    LINK = "link"
    CHMOD = "change mode"
    REMOVE = "remove"
    RENAME = "rename"


@dataclass(frozen=True)
class Action:
    """One step on one side. *expect* must be there now, *source* is what the other side has, *to* a new name."""

    verb: Verb
    side: Side
    path: str
    expect: Entry = ABSENT
    source: Entry = ABSENT
    mode: int = 0
    to: str = ""


@dataclass
class Plan:
    """Steps in their order, and what both sides already agree on (None: forget it)."""

    clears: list[Action] = field(default_factory=list)
    builds: list[Action] = field(default_factory=list)
    removals: list[Action] = field(default_factory=list)
    agreements: dict[str, Agreed | None] = field(default_factory=dict)
    conflicts: list[Action] = field(default_factory=list)
    blocked: dict[tuple[Side, str], str] = field(default_factory=dict)

    @property
    def actions(self) -> list[Action]:
        """Everything to do: room is made first, removals come last, what is in a directory before the directory."""
        return [*self.conflicts, *self.clears, *self.builds, *self.removals]


def make_plan(pair: Pair, mode: Mode, stamp: str) -> Plan:
    """Compare; *stamp* makes the names of conflict copies unique."""
    return _Planner(pair, mode, stamp).run()


class _Planner:
    def __init__(self, pair: Pair, mode: Mode, stamp: str) -> None:
        self._pair = pair
        self._mode = mode
        self._stamp = stamp
        self._plan = Plan()
        self._children: dict[str, list[str]] = {}
        paths = set(pair.local.keys() | pair.remote.keys())
        for path in pair.base:
            above = path
            while above and above not in paths:
                paths.add(above)
                above = parent_of(above)
        for path in sorted(paths):
            self._children.setdefault(parent_of(path), []).append(path)

    def run(self) -> Plan:
        for path in self._below(""):
            self._visit(path)
        return self._plan

    def _below(self, path: str) -> Iterable[str]:
        return self._children.get(path, ())

    def _visit(self, path: str) -> bool:
        """Plan a path and everything below it; say whether anything of it is left in the end."""
        local, remote = self._pair.entry(Side.LOCAL, path), self._pair.entry(Side.REMOTE, path)
        if Kind.OTHER in (local.kind, remote.kind):
            self._block(path)
            return True
        directories = [side for side in Side if self._pair.entry(side, path).kind is Kind.DIRECTORY]
        if len(directories) == len(Side):
            self._settle_mode(path)
            self._visit_below(path)
            return True
        if directories:
            return self._one_directory(path, directories[0])
        for child in self._below(path):
            self._visit(child)
        return self._leaf(path)

    def _visit_below(self, path: str) -> bool:
        left = [self._visit(child) for child in self._below(path)]
        return any(left)

    def _block(self, path: str) -> None:
        for side in Side:
            entry = self._pair.entry(side, path)
            if entry.kind is Kind.OTHER:
                self._plan.blocked[side, path] = entry.why

    # Directories that only one side has

    def _one_directory(self, path: str, side: Side) -> bool:
        """One side has a directory, the other a file, a link or nothing."""
        other = self._pair.entry(side.other, path)
        if other.kind is not Kind.ABSENT:
            return self._directory_and_leaf(path, side, other)
        agreed = self._pair.base.get(path)
        was_removed = agreed is not None and agreed.kind is Kind.DIRECTORY
        follows = self._mode is not Mode.TWO_WAY and side is Side.LOCAL
        if follows or (self._wanted(side) and not was_removed):
            self._make_directory(path, side.other)
            self._visit_below(path)
            return True
        place = len(self._plan.builds)
        left = self._visit_below(path)
        if left and self._wanted(side):
            self._make_directory(path, side.other, place)
        elif not left and self._removable(side, was_removed):
            self._remove(path, side)
        else:
            self._plan.agreements[path] = None
            return True
        return left

    def _wanted(self, side: Side) -> bool:
        """Say whether what one side has may go to the other."""
        return self._mode is Mode.TWO_WAY or side is Side.LOCAL

    def _removable(self, side: Side, agreed: bool) -> bool:
        return agreed or (self._mode is Mode.MIRROR and side is Side.REMOTE)

    def _directory_and_leaf(self, path: str, side: Side, leaf: Entry) -> bool:
        """A directory on one side, a file or link on the other: who changed it last wins, both is a conflict."""
        leaf_is_old = self._pair.is_agreed(side.other, path)
        tree_is_old = self._tree_is_agreed(path, side)
        winner = self._winner(side, leaf_is_old, tree_is_old)
        if winner is None:
            self._conflict(path)
        elif winner is side:
            self._plan.clears.append(Action(Verb.REMOVE, side.other, path, expect=leaf))
            self._make_directory(path, side.other)
            self._visit_below(path)
        else:
            self._clear(path, side)
            self._carry(path, winner, ABSENT)
        return True

    def _winner(self, side: Side, leaf_is_old: bool, tree_is_old: bool) -> Side | None:
        if self._mode is Mode.MIRROR:
            return Side.LOCAL
        if self._mode is Mode.ONE_WAY:
            remote_is_old = tree_is_old if side is Side.REMOTE else leaf_is_old
            return Side.LOCAL if remote_is_old else None
        if leaf_is_old == tree_is_old:
            return None
        return side if leaf_is_old else side.other

    def _tree_is_agreed(self, path: str, side: Side) -> bool:
        """Say whether a whole directory is as it was agreed."""
        if not self._pair.is_agreed(side, path):
            return False
        present = (child for child in self._below(path) if self._pair.entry(side, child).kind is not Kind.ABSENT)
        return all(self._tree_is_agreed(child, side) for child in present)

    def _clear(self, path: str, side: Side) -> None:
        for child in self._below(path):
            self._clear(child, side)
            self._plan.agreements[child] = None
        entry = self._pair.entry(side, path)
        if entry.kind not in (Kind.ABSENT, Kind.OTHER):
            self._plan.clears.append(Action(Verb.REMOVE, side, path, expect=entry))

    def _make_directory(self, path: str, side: Side, place: int | None = None) -> None:
        mode = self._pair.entry(side.other, path).mode
        action = Action(Verb.MKDIR, side, path, mode=mode)
        self._plan.builds.insert(len(self._plan.builds) if place is None else place, action)

    # Files and links

    def _leaf(self, path: str) -> bool:
        local, remote = self._pair.entry(Side.LOCAL, path), self._pair.entry(Side.REMOTE, path)
        if local.kind is remote.kind is Kind.ABSENT:
            self._plan.agreements[path] = None
            return False
        if self._pair.is_same(path):
            self._settle_mode(path)
            return True
        return self._changed(path) if self._mode is Mode.TWO_WAY else self._local_wins(path)

    def _changed(self, path: str) -> bool:
        """Two-way: who has not changed gets what the other has; a removal loses against an edit."""
        old = [side for side in Side if self._is_old(side, path)]
        absent = [side for side in Side if self._pair.entry(side, path).kind is Kind.ABSENT]
        if old:
            return self._propagate(path, old[0].other)
        if absent:
            return self._propagate(path, absent[0].other)
        self._conflict(path)
        return True

    def _is_old(self, side: Side, path: str) -> bool:
        if self._pair.entry(side, path).kind is Kind.ABSENT:
            return path not in self._pair.base
        return self._pair.is_agreed(side, path)

    def _local_wins(self, path: str) -> bool:
        local, remote = self._pair.entry(Side.LOCAL, path), self._pair.entry(Side.REMOTE, path)
        if local.kind is not Kind.ABSENT:
            self._carry(path, Side.LOCAL, remote)
            return True
        if self._removable(Side.REMOTE, self._pair.is_agreed(Side.REMOTE, path)):
            self._remove(path, Side.REMOTE)
            return False
        self._plan.agreements[path] = None
        return True

    def _propagate(self, path: str, winner: Side) -> bool:
        if self._pair.entry(winner, path).kind is Kind.ABSENT:
            self._remove(path, winner.other)
            return False
        self._carry(path, winner, self._pair.entry(winner.other, path))
        return True

    def _carry(self, path: str, winner: Side, replaced: Entry) -> None:
        source = self._pair.entry(winner, path)
        verb = Verb.PUT if source.kind is Kind.FILE else Verb.LINK
        mode = self._merged_mode(path) if replaced.kind is source.kind else source.mode
        self._plan.builds.append(Action(verb, winner.other, path, replaced, source, mode))

    def _remove(self, path: str, side: Side) -> None:
        self._plan.removals.append(Action(Verb.REMOVE, side, path, expect=self._pair.entry(side, path)))

    # Modes

    def _merged_mode(self, path: str) -> int:
        """The mode of the side that changed it; the local one when both did."""
        local, remote = self._pair.entry(Side.LOCAL, path), self._pair.entry(Side.REMOTE, path)
        agreed = self._pair.base.get(path)
        local_is_old = agreed is not None and agreed.kind is local.kind and agreed.mode == local.mode
        return remote.mode if local_is_old and self._mode is Mode.TWO_WAY else local.mode

    def _settle_mode(self, path: str) -> None:
        """Both sides have the same thing: agree on it, after a change of mode where they differ."""
        mode = self._merged_mode(path)
        wrong = [side for side in Side if self._pair.entry(side, path).mode != mode]
        for side in wrong:
            self._plan.builds.append(Action(Verb.CHMOD, side, path, expect=self._pair.entry(side, path), mode=mode))
        if not wrong:
            self._plan.agreements[path] = agreement(self._pair, path)

    def _conflict(self, path: str) -> None:
        remote = self._pair.entry(Side.REMOTE, path)
        to = conflict_name(path, Side.REMOTE, self._stamp, self._taken)
        self._plan.conflicts.append(Action(Verb.RENAME, Side.REMOTE, path, expect=remote, to=to))

    def _taken(self, path: str) -> bool:
        return path in self._pair.local or path in self._pair.remote


def conflict_name(path: str, side: Side, stamp: str, taken: Callable[[str], bool]) -> str:
    """Return a free name beside *path* for the copy of *side*."""
    suffix = f".conflict-{side.value}-{stamp}"
    parent, slash, name = path.rpartition("/")
    for count in range(1, 10_000):
        end = suffix if count == 1 else f"{suffix}-{count}"
        short = name.encode(errors="surrogateescape")[: 255 - len(end)].decode(errors="surrogateescape")
        if not taken(candidate := f"{parent}{slash}{short}{end}"):
            return candidate
    raise ValueError(f"no free name for a copy of {path}")
