"""A directory copied one way: what the source has goes over, what else is in the target stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from createos_cli.sync.confined import as_found
from createos_cli.sync.contents import Pair
from createos_cli.sync.entries import ABSENT, Entry, Kind, Side, Tree, parent_of
from createos_cli.sync.local_tree import LocalTree
from createos_cli.sync.manifest import Agreements
from createos_cli.sync.outcome import Outcome
from createos_cli.sync.plan import Action, Plan, Verb
from createos_cli.sync.remote_tree import RemoteTree
from createos_cli.sync.skips import Skips
from createos_cli.sync.work import Work

_VERBS = {Kind.FILE: Verb.PUT, Kind.SYMLINK: Verb.LINK}
_NAMES = {Kind.DIRECTORY: "a directory", Kind.FILE: "a file", Kind.SYMLINK: "a link"}
_SOMETHING = "something that is neither file, directory nor link"


@dataclass(frozen=True)
class Copied:
    """What a copy did; *left* says by path what is not in the target, and why."""

    files: int
    bytes: int
    left: dict[str, str]


class CountedTree(LocalTree):
    """A local directory that tells how many bytes have come out of it or gone into it. Links are what they are."""

    def __init__(self, root: str, skips: Skips, count: Callable[[int], None]) -> None:
        super().__init__(root, skips, as_found)
        self._count = count

    @contextmanager
    def reading(self, path: str, expect: Entry) -> Iterator[Iterator[bytes]]:
        """Open a file as LocalTree does."""
        with super().reading(path, expect) as pieces:
            yield self._counted(pieces)

    def write(self, path: str, pieces: Iterator[bytes], size: int, mode: int, expect: Entry) -> tuple[Entry, bytes]:
        """Write a file as LocalTree does."""
        return super().write(path, self._counted(pieces), size, mode, expect)

    def _counted(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            yield piece
            self._count(len(piece))


def copy(local: CountedTree, remote: RemoteTree, to: Side, begin: Callable[[int], None]) -> Copied:
    """Copy everything to one side; *begin* is told how many bytes that will be. Raises Stop, Disconnected."""
    pair = Pair({}, local.scan(), dict(remote.scan(full=True)))
    plan = plan_copy(pair.tree(to.other), pair.tree(to), to)
    begin(sum(action.source.version.size for action in plan.builds if action.verb is Verb.PUT))
    outcome = Work(pair, Agreements(), local, remote, lambda _: None).run(plan)
    return _copied(outcome)


def plan_copy(source: Tree, target: Tree, to: Side) -> Plan:
    """Return the steps, a directory before what is in it; what cannot be copied is in `blocked` with the reason."""
    plan, closed = Plan(), set[str]()
    for path in sorted(source):
        entry, there = source[path], target.get(path, ABSENT)
        if parent_of(path) in closed:
            closed.add(path)
        elif entry.kind is Kind.OTHER:
            plan.blocked[to.other, path] = entry.why
        elif not _fits(entry, there):
            plan.blocked[to, path] = f"{_NAMES.get(there.kind, _SOMETHING)} stands in its way"
            closed.add(path)
        elif entry.kind is not Kind.DIRECTORY:
            plan.builds.append(Action(_VERBS[entry.kind], to, path, there, entry, entry.mode))
        elif there.kind is Kind.ABSENT:
            plan.builds.append(Action(Verb.MKDIR, to, path, mode=entry.mode))
    return plan


def _fits(entry: Entry, there: Entry) -> bool:
    """Say whether *entry* may go there: files and links replace each other, directories merge."""
    if entry.kind is Kind.DIRECTORY:
        return there.kind in (Kind.DIRECTORY, Kind.ABSENT)
    return there.kind in (Kind.FILE, Kind.SYMLINK, Kind.ABSENT)


def _copied(outcome: Outcome) -> Copied:
    left = {path: why for (_, path), why in {**outcome.remarks, **outcome.problems}.items()}
    return Copied(outcome.sent + outcome.received, outcome.sent_bytes + outcome.received_bytes, left)
