"""Second looks at a plan: renames that need no transfer, and removals that are suspiciously many."""

from __future__ import annotations

from collections.abc import Iterable

from createos_cli.sync.contents import Pair
from createos_cli.sync.entries import Agreed, Kind, Side
from createos_cli.sync.plan import Action, Plan, Verb

# Fewer removals than this are never stopped, nor are those of at most this share of all files.
FEW = 10
SHARE = 0.5


def with_renames(plan: Plan, pair: Pair) -> Plan:
    """Turn a removal and a copy of the same bytes on the same side into a rename."""
    removable: dict[tuple[Side, bytes], list[Action]] = {}
    for action in plan.removals:
        agreed = pair.base.get(action.path)
        if action.expect.kind is Kind.FILE and agreed and agreed.size and agreed.digest:
            removable.setdefault((action.side, agreed.digest), []).append(action)
    renamed: set[str] = set()
    plan.builds = [_as_rename(action, pair, removable, renamed) for action in plan.builds]
    plan.removals = [action for action in plan.removals if action.path not in renamed]
    return plan


def _as_rename(
    action: Action, pair: Pair, removable: dict[tuple[Side, bytes], list[Action]], renamed: set[str]
) -> Action:
    if action.verb is not Verb.PUT or action.expect.kind is not Kind.ABSENT:
        return action
    found = removable.get((action.side, pair.digest(action.side.other, action.path)))
    if not found:
        return action
    old = found.pop()
    renamed.add(old.path)
    return Action(Verb.RENAME, action.side, old.path, old.expect, action.source, action.mode, to=action.path)


def too_many_removals(plan: Plan, pair: Pair) -> tuple[Side, int, int] | None:
    """Return the side that would lose most of its files, how many, and of how many; None when it is few."""
    for side in Side:
        lost = _files(action for action in (*plan.clears, *plan.removals) if action.side is side)
        had = max(_files_agreed(pair.base.values()), 1)
        known = sum(1 for path in lost if path in pair.base)
        if known >= FEW and known > had * SHARE:
            return side, known, had
        if lost and side is Side.REMOTE and not pair.local:
            return side, len(lost), max(len(lost), had)
    return None


def _files(actions: Iterable[Action]) -> list[str]:
    leaves = (Kind.FILE, Kind.SYMLINK)
    return [action.path for action in actions if action.verb is Verb.REMOVE and action.expect.kind in leaves]


def _files_agreed(agreed: Iterable[Agreed]) -> int:
    return sum(1 for each in agreed if each.kind in (Kind.FILE, Kind.SYMLINK))
