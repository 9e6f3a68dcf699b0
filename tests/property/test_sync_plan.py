"""Whatever was edited on either side, passes come to an end, both sides are then the same, and no edit is lost."""

from __future__ import annotations

from dataclasses import dataclass, field

from createos_cli.sync.contents import Pair, agreement, to_read
from createos_cli.sync.entries import ABSENT, Agreed, Entry, Kind, Side, Tree, Version, parent_of
from createos_cli.sync.moves import with_renames
from createos_cli.sync.plan import Action, Mode, Verb, make_plan
from hypothesis import given, settings
from hypothesis import strategies as st

NAMES = ("a", "b", "a/a", "a/b", "b/a", "a/a/a", "b/a/b")
TEXTS = ("", "x", "y", "zz", "ww")
EDIT = st.tuples(
    st.sampled_from(list(Side)),
    st.sampled_from(["write", "remove", "mkdir", "link", "chmod", "move", "agree"]),
    st.sampled_from(NAMES),
    st.sampled_from(NAMES),
    st.sampled_from(TEXTS),
)


@dataclass
class World:
    """Two trees in memory with the texts of their files, and what they agreed on."""

    trees: dict[Side, Tree] = field(default_factory=lambda: {side: {} for side in Side})
    texts: dict[tuple[Side, str], str] = field(default_factory=dict)
    base: dict[str, Agreed] = field(default_factory=dict)
    ticks: int = 0
    passes: int = 0

    def version(self, size: int) -> Version:
        self.ticks += 1
        return Version(size, self.ticks, self.ticks, self.ticks)

    def write(self, side: Side, path: str, text: str, mode: int = 0o644) -> Entry:
        self.texts[side, path] = text
        self.trees[side][path] = entry = Entry(Kind.FILE, mode, self.version(len(text)))
        return entry

    def remove(self, side: Side, path: str) -> None:
        for each in [each for each in self.trees[side] if each == path or each.startswith(f"{path}/")]:
            del self.trees[side][each]
            self.texts.pop((side, each), None)

    def move(self, side: Side, path: str, to: str) -> None:
        for each in sorted(each for each in self.trees[side] if each == path or each.startswith(f"{path}/")):
            new = to + each[len(path) :]
            self.trees[side][new] = self.trees[side].pop(each)
            if (side, each) in self.texts:
                self.texts[side, new] = self.texts.pop((side, each))

    def edit(self, side: Side, what: str, path: str, to: str, text: str) -> None:
        """Do what a person may do, when it is possible."""
        tree = self.trees[side]
        kind = tree.get(path, ABSENT).kind
        has_place = all(tree.get(each, ABSENT).kind is Kind.DIRECTORY for each in parents(path))
        if what == "write" and has_place and kind is not Kind.DIRECTORY:
            self.write(side, path, text)
        elif what == "remove":
            self.remove(side, path)
        elif what == "mkdir" and has_place and kind is Kind.ABSENT:
            tree[path] = Entry(Kind.DIRECTORY, 0o755)
        elif what == "link" and has_place and kind is Kind.ABSENT:
            tree[path] = Entry(Kind.SYMLINK, 0, self.version(1), target=text or "x")
        elif what == "chmod" and kind is Kind.FILE:
            tree[path] = tree[path]._replace(mode=0o755, version=self.version(tree[path].version.size))
        elif what == "move" and kind is not Kind.ABSENT and not to.startswith(f"{path}/") and to not in tree:
            if all(tree.get(each, ABSENT).kind is Kind.DIRECTORY for each in parents(to)):
                self.move(side, path, to)
        elif what == "agree":
            self.synchronise(Mode.TWO_WAY)

    def synchronise(self, mode: Mode) -> None:
        """Pass after pass, as compare.py and work.py do it."""
        for _ in range(20):
            pair = Pair(self.base, dict(self.trees[Side.LOCAL]), dict(self.trees[Side.REMOTE]))
            for side, path in to_read(pair):
                pair.digests[side, path, pair.entry(side, path).version] = digest(self.texts[side, path])
            self.passes += 1
            plan = with_renames(make_plan(pair, mode, f"t{self.passes}"), pair)
            for path, agreed in plan.agreements.items():
                self.keep(path, agreed)
            for action in plan.actions:
                self.do(action, pair)
            if not plan.actions:
                return
        raise AssertionError("it does not come to an end")

    def keep(self, path: str, agreed: Agreed | None) -> None:
        if agreed is None:
            self.base.pop(path, None)
        else:
            self.base[path] = agreed

    def do(self, action: Action, pair: Pair) -> None:
        """Do one step as both trees would: what is not as expected is an error here, nobody edits meanwhile."""
        side, path, tree = action.side, action.path, self.trees[action.side]
        assert tree.get(path, ABSENT) == (ABSENT if action.verb is Verb.MKDIR else action.expect), action
        assert all(tree.get(each, ABSENT).kind is Kind.DIRECTORY for each in parents(action.to or path)), action
        if action.verb is Verb.REMOVE:
            assert not any(each.startswith(f"{path}/") for each in tree), f"{path} is not empty"
            self.remove(side, path)
            self.base.pop(path, None)
        elif action.verb is Verb.RENAME:
            assert action.to not in tree
            self.move(side, path, action.to)
            agreed = self.base.get(path)
            if action.source.kind is not Kind.ABSENT and agreed:
                del self.base[path]
                self.base[action.to] = self.agreed_file(action.to, tree[action.to].mode)
        elif action.verb is Verb.MKDIR:
            tree[path] = Entry(Kind.DIRECTORY, action.mode)
            self.base[path] = Agreed(Kind.DIRECTORY, action.mode)
        elif action.verb is Verb.LINK:
            tree[path] = Entry(Kind.SYMLINK, 0, self.version(1), action.source.target)
            self.base[path] = Agreed(Kind.SYMLINK, 0, target=action.source.target)
        elif action.verb is Verb.CHMOD:
            tree[path] = tree[path]._replace(mode=action.mode)
            self.base[path] = agreement(pair, path)._replace(mode=action.mode)
        else:
            self.write(side, path, self.texts[side.other, path], action.mode)
            self.base[path] = self.agreed_file(path, action.mode)

    def agreed_file(self, path: str, mode: int) -> Agreed:
        text = self.texts[Side.LOCAL, path]
        versions = [self.trees[side][path].version for side in Side]
        return Agreed(Kind.FILE, mode, len(text), digest(text), "", *versions)

    def seen(self, side: Side) -> dict[str, tuple[Kind, int, str]]:
        """What a person would see of one side."""
        return {
            path: (entry.kind, entry.mode, entry.target or self.texts.get((side, path), ""))
            for path, entry in self.trees[side].items()
        }


def digest(text: str) -> bytes:
    import hashlib

    return hashlib.sha256(text.encode()).digest()


def parents(path: str) -> list[str]:
    found = []
    while path := parent_of(path):
        found.append(path)
    return found


@settings(max_examples=400, deadline=None)
@given(st.lists(EDIT, max_size=25))
def test_both_sides_become_the_same_and_no_edit_is_lost(edits: list[tuple[Side, str, str, str, str]]) -> None:
    world = World()
    for edit in edits:
        world.edit(*edit)
    new = {
        text
        for (side, path), text in world.texts.items()
        if text and (path not in world.base or world.base[path].digest != digest(text))
    }

    world.synchronise(Mode.TWO_WAY)

    assert world.seen(Side.LOCAL) == world.seen(Side.REMOTE)
    assert new <= {text for (side, _), text in world.texts.items() if side is Side.LOCAL}


@settings(max_examples=200, deadline=None)
@given(st.lists(EDIT, max_size=25), st.sampled_from([Mode.ONE_WAY, Mode.MIRROR]))
def test_in_the_other_modes_nothing_is_done_to_the_local_side(
    edits: list[tuple[Side, str, str, str, str]], mode: Mode
) -> None:
    world = World()
    for edit in edits:
        world.edit(*edit)
    before = world.seen(Side.LOCAL)

    world.synchronise(mode)

    there = world.seen(Side.REMOTE)
    assert world.seen(Side.LOCAL) == before
    assert before.items() <= there.items()
    assert mode is Mode.ONE_WAY or there == before
