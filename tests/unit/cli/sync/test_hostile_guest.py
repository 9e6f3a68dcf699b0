"""A guest that lies: nothing of it gets past the local directory, and what does not fit is the end."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from createos_cli.sync.confined import Confined
from createos_cli.sync.entries import ABSENT, Entry, Kind, Version, link_problem
from createos_cli.sync.failures import Refused, Stop
from createos_cli.sync.link import Link
from createos_cli.sync.local_tree import LocalTree
from createos_cli.sync.messages import HEAD
from createos_cli.sync.remote_tree import RemoteTree
from createos_cli.sync.skips import Skips
from createos_cli.wire import Upgraded

NOTHING = Skips((), vcs=False)
FILE, DIRECTORY = 1, 2


def say(kind: int, payload: bytes) -> bytes:
    return HEAD.pack(1 + len(payload), kind) + payload


def entry(path: bytes, kind: int = FILE, size: int = 1) -> bytes:
    fields = struct.pack(">BHQqqQ", kind, 0o644, size, 1, 1, 1)
    return say(0x82, fields + struct.pack(">H", len(path)) + path + b"\0\0")


def done(number: int) -> bytes:
    return say(0x83, struct.pack(">I", number) + bytes(35))


@pytest.fixture
def guest() -> Iterator[Callable[[bytes], RemoteTree]]:
    """Return a remote side whose guest says these bytes and then nothing more."""
    open_ones: list[socket.socket] = []

    def saying(data: bytes) -> RemoteTree:
        ours, theirs = socket.socketpair()
        open_ones.extend((ours, theirs))
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        return RemoteTree(Link(Upgraded(ours)), NOTHING)

    yield saying
    for each in open_ones:
        each.close()


@pytest.mark.parametrize(
    "path",
    [b"..", b"../x", b"/etc/passwd", b"a/../../x", b"a\0b", b"", b".", b"a//b", b".createos-sync-tmp"],
)
def test_names_that_cannot_be_end_it(guest: Callable[[bytes], RemoteTree], path: bytes) -> None:
    with pytest.raises(Stop, match="a name that cannot be"):
        guest(entry(path) + done(1)).scan(full=True)


def test_something_below_a_file_or_nothing_ends_it(guest: Callable[[bytes], RemoteTree]) -> None:
    for said in (entry(b"a/b"), entry(b"a") + entry(b"a/b"), entry(b"a/b", DIRECTORY)):
        with pytest.raises(Stop, match="a name that cannot be"):
            guest(said + done(1)).scan(full=True)


@pytest.mark.parametrize(
    "said",
    [
        entry(b"a", 9),
        struct.pack(">IB", 0, 0x83),
        struct.pack(">IB", 2**31, 0x83),
        say(0x82, b"short"),
        say(0x99, bytes(8)),
        done(2),
        say(0x85, struct.pack(">I", 1) + b"data that nobody asked for"),
    ],
)
def test_what_is_no_message_ends_it(guest: Callable[[bytes], RemoteTree], said: bytes) -> None:
    with pytest.raises(Stop):
        guest(said).scan(full=True)


@pytest.mark.parametrize("size", [3, 5])
def test_a_file_that_is_longer_or_shorter_than_told_ends_it(guest: Callable[[bytes], RemoteTree], size: int) -> None:
    data = say(0x85, struct.pack(">I", 1) + b"four") + done(1)
    wanted = [("a", Entry(Kind.FILE, 0o644, Version(size, 1, 1, 1)))]

    with pytest.raises(Stop, match="than there is"):
        list(next(guest(data).fetch(wanted)).pieces())


def test_a_file_that_does_not_fit_on_the_disk_is_refused_before_a_byte_is_written(tmp_path: Path) -> None:
    tree = LocalTree(str(tmp_path), NOTHING)

    with pytest.raises(Refused, match="do not fit"):
        tree.write("a", iter([b"x"]), 2**62, 0o644, ABSENT)

    tree.close()
    assert list(tmp_path.iterdir()) == []


def test_a_link_on_the_way_is_not_followed_out_of_the_root(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "link").symlink_to(outside)
    tree = LocalTree(str(root), NOTHING)

    for change in (
        lambda: tree.write("link/x", iter([b"evil"]), 4, 0o644, ABSENT),
        lambda: tree.mkdir("link/x", 0o755),
        lambda: tree.symlink("link/x", "y", ABSENT),
    ):
        with pytest.raises(Refused):
            change()

    tree.close()
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "", "."])
def test_a_path_out_of_the_root_is_a_bug_not_a_file(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValueError, match="no path below the root"), Confined(str(tmp_path)).parent(path):
        pass


def test_an_edit_that_came_in_between_is_not_overwritten_here_either(tmp_path: Path) -> None:
    tree = LocalTree(str(tmp_path), NOTHING)
    (tmp_path / "a").write_text("1")
    seen = tree.scan()["a"]
    (tmp_path / "a").write_text("22")

    with pytest.raises(Refused, match="has changed"):
        tree.write("a", iter([b"333"]), 3, 0o644, seen)
    with pytest.raises(Refused, match="has changed"):
        tree.remove("a", seen)

    tree.close()
    assert (tmp_path / "a").read_text() == "22"


@pytest.mark.parametrize(
    ("path", "target", "stays"),
    [("a", "b", True), ("d/a", "../b", True), ("a", "../b", False), ("d/a", "x/../../b", False), ("a", "/b", False)],
)
def test_links_that_may_leave_are_known(path: str, target: str, stays: bool) -> None:
    assert (link_problem(path, target) == "") is stays
