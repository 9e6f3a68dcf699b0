"""`push` and `pull` of directories: two directories of this machine, the real agent between them."""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from createos_cli.wire import Request, Response, Upgraded

from tests.fakes.agent_host import AgentHost
from tests.unit.cli.conftest import Cli, Ran
from tests.unit.cli.fake_api import FakeApi, sandbox, sandbox_id
from tests.unit.cli.sync.conftest import contents
from tests.unit.cli.sync.test_hostile_guest import DIRECTORY, FILE, done, entry, say

LINK = 3
IS_A_DIRECTORY = (400, {"status": "fail", "data": "it is a directory; name a file"})


class DirectoryApi(FakeApi):
    """A sandbox API whose `sync` route leads to *connect*."""

    def __init__(self, connect: Callable[[], Upgraded]) -> None:
        super().__init__(rows=[sandbox(1, "box")])
        self.instead[f"GET /v1/sandboxes/{sandbox_id(1)}/files"] = IS_A_DIRECTORY
        self.connect = connect
        self.open_ends: list[socket.socket] = []

    def __call__(self, request: Request) -> Response:
        if request.path.endswith("/sync"):
            self.requests.append(request)
            return Response(101, {}, (), self.connect())
        return super().__call__(request)


class World:
    """`here` on this side, `there` in what the agent takes for the sandbox, and the command line."""

    def __init__(self, home: Path, api: DirectoryApi) -> None:
        self.here, self.there = home / "here", home / "there"
        self.here.mkdir()
        self.api = api
        self._cli = Cli(api, home)

    def push(self, *more: str) -> Ran:
        return self._cli("sandbox", "push", "box", str(self.here), str(self.there), *more)

    def pull(self, *more: str) -> Ran:
        return self._cli("sandbox", "pull", "box", str(self.there), str(self.here), *more)


@pytest.fixture
def world(tmp_path: Path, agent: AgentHost) -> Iterator[World]:
    api = DirectoryApi(agent.connect)
    yield World(tmp_path, api)
    for each in api.open_ends:
        each.close()


def fill(root: Path) -> None:
    """Make one of everything."""
    (root / "a/b").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "private").mkdir(mode=0o700)
    (root / "a/b/tool").write_text("#!/bin/sh\n")
    (root / "a/b/tool").chmod(0o755)
    (root / "a/secret").write_text("s")
    (root / "a/secret").chmod(0o600)
    (root / "a/nothing").touch()
    (root / "a/to-tool").symlink_to("b/tool")
    (root / ".git").mkdir()
    (root / ".git/HEAD").write_text("ref: x")
    (root / "ünï\n").write_text("awkward")


def test_a_directory_arrives_with_modes_links_and_what_is_empty(world: World) -> None:
    fill(world.here)

    ran = world.push("-o", "table")

    assert ran.code == 0, ran.err
    assert "(5 files, " in ran.out
    assert contents(world.there) == contents(world.here)
    assert (world.there / "private").stat().st_mode & 0o777 == 0o700


def test_a_directory_comes_out_as_it_went_in(world: World) -> None:
    world.there.mkdir()
    fill(world.there)
    world.here.rmdir()

    ran = world.pull()

    assert ran.code == 0, ran.err
    assert (ran.document["action"], ran.document["files"], ran.document["skipped"]) == ("pulled", 5, [])
    assert contents(world.here) == contents(world.there)


@pytest.mark.parametrize("verb", ["push", "pull"])
def test_an_existing_directory_is_merged_file_by_file(world: World, verb: str) -> None:
    source, target = (world.here, world.there) if verb == "push" else (world.there, world.here)
    for each in (source, target):
        (each / "d").mkdir(parents=True, exist_ok=True)
    (source / "d/both").write_text("new")
    (source / "d/link").symlink_to("both")
    (target / "d/both").write_text("old")
    (target / "d/link").symlink_to("/etc/passwd")
    (target / "d/mine").write_text("kept")

    ran = getattr(world, verb)()

    assert ran.code == 0, ran.err
    assert (target / "d/both").read_text() == "new"
    assert (target / "d/link").readlink() == Path("both")
    assert (target / "d/mine").read_text() == "kept"
    assert sorted(path.name for path in target.iterdir()) == ["d"]


@pytest.mark.parametrize("verb", ["push", "pull"])
def test_what_stands_in_the_way_is_named_and_stops_nothing_else(world: World, verb: str) -> None:
    source, target = (world.here, world.there) if verb == "push" else (world.there, world.here)
    outside = world.here.parent / "outside"
    for each in (source, target, outside):
        each.mkdir(exist_ok=True)
    for name in ("file-here", "link-here"):
        (source / name).mkdir()
        (source / name / "x").write_text("x")
    (source / "directory-here").write_text("x")
    (source / "other").write_text("x")
    (target / "file-here").write_text("precious")
    (target / "link-here").symlink_to(outside)
    (target / "directory-here").mkdir()

    ran = getattr(world, verb)()

    assert ran.code == 1
    assert {each["path"]: each["reason"] for each in ran.document["skipped"]} == {
        "file-here": "a file stands in its way",
        "link-here": "a link stands in its way",
        "directory-here": "a directory stands in its way",
    }
    assert "Error: file-here was not copied: a file stands in its way" in ran.err
    assert (target / "file-here").read_text() == "precious"
    assert (target / "other").read_text() == "x"
    assert list(outside.iterdir()) == []


def test_links_go_in_as_they_are_but_none_comes_out_that_leads_out(world: World) -> None:
    for name, target in (("absolute", "/etc/passwd"), ("up", "../../etc/passwd"), ("fine", "x")):
        (world.here / name).symlink_to(target)

    pushed = world.push()
    twice = world.push()
    world.here.joinpath("absolute").unlink()
    pulled = world.pull()

    assert (pushed.code, twice.code) == (0, 0)
    assert (world.there / "absolute").readlink() == Path("/etc/passwd")
    assert pulled.code == 1
    assert {each["path"]: each["reason"] for each in pulled.document["skipped"]} == {
        "absolute": "a link with an absolute target",
        "up": "a link that may leave the directory",
    }
    assert not (world.here / "absolute").is_symlink()


def test_what_is_no_file_is_named(world: World) -> None:
    os.mkfifo(world.here / "pipe")

    ran = world.push()

    assert ran.code == 1
    assert ran.document["skipped"] == [{"path": "pipe", "reason": "neither a file, a directory nor a link"}]


def test_patterns_are_left_out(world: World) -> None:
    fill(world.here)

    world.push("--exclude", ".git", "--exclude", "/a/b")

    assert {"a/secret", "empty"} <= contents(world.there).keys()
    assert {".git", "a/b"} & contents(world.there).keys() == set()


def test_a_file_in_the_place_of_the_target_is_left_and_named(world: World, tmp_path: Path) -> None:
    world.there.write_text("precious")

    pushed = world.push("-o", "table")
    world.there.unlink()
    world.there.mkdir()
    world.here.rmdir()
    world.here.write_text("mine")
    pulled = world.pull("-o", "table")

    assert (pushed.code, pulled.code) == (1, 1)
    assert "nothing was copied to" in pushed.err
    assert "not a directory" in pushed.err
    assert "is a file; a directory cannot take its place" in pulled.err
    assert world.here.read_text() == "mine"


def test_a_refusal_of_a_file_stays_what_it_was(world: World) -> None:
    ran = world.pull("-o", "table")

    assert ran.code == 1
    assert ran.err.startswith("Error: it is a directory")


def test_a_place_below_which_there_is_no_parent_is_named(world: World) -> None:
    world.there.mkdir()
    world.here.rmdir()
    world.here = world.here / "deeper" / "place"

    ran = world.pull("-o", "table")

    assert ran.code == 1
    assert "deeper does not exist" in ran.err


@pytest.mark.parametrize("place", ["/proc/x", "/sys", "/dev/shm"])
def test_what_the_kernel_shows_is_no_directory_to_copy_to(world: World, place: str) -> None:
    world.there = Path(place)

    ran = world.push("-o", "table")

    assert ran.code == 1
    assert "nothing was copied" in ran.err


@pytest.mark.parametrize("verb", ["push", "pull"])
def test_a_connection_that_breaks_is_told_and_leaves_nothing_half_written(world: World, verb: str) -> None:
    def broken() -> Upgraded:
        ours, theirs = socket.socketpair()
        with theirs:
            theirs.sendall(say(0x81, b"\x01\x00\x00"))
        return Upgraded(ours)

    world.api.connect = broken

    ran = getattr(world, verb)("-o", "table")

    assert ran.code == 1
    assert "the connection to the sandbox is gone" in ran.err
    assert list(world.here.iterdir()) == []


def hello() -> bytes:
    return say(0x81, b"\x01\x00\x00")


def link(path: bytes, target: bytes) -> bytes:
    fields = struct.pack(">BHQqqQ", LINK, 0o777, len(target), 1, 1, 1)
    return say(0x82, fields + struct.pack(">H", len(path)) + path + struct.pack(">H", len(target)) + target)


@pytest.mark.parametrize(
    "said",
    [
        entry(b"../evil", FILE),
        entry(b"/tmp/evil", FILE),
        entry(b"a/../../evil", FILE),
        link(b"out", b"/tmp") + entry(b"out/evil", FILE),
        entry(b"d", DIRECTORY) + link(b"d", b"/tmp") + entry(b"d/evil", FILE),
        entry(b"d\0", DIRECTORY),
    ],
    ids=["above", "absolute", "above from below", "below a link", "below what became a link", "with a NUL"],
)
def test_a_guest_that_names_places_outside_is_stopped_before_anything_is_written(world: World, said: bytes) -> None:
    def lying() -> Upgraded:
        ours, theirs = socket.socketpair()
        theirs.sendall(hello() + said + done(1))
        theirs.shutdown(socket.SHUT_WR)
        world.api.open_ends.append(theirs)
        return Upgraded(ours)

    world.api.connect = lying

    ran = world.pull("-o", "table")

    assert ran.code == 1
    assert "a name that cannot be" in ran.err
    assert list(world.here.iterdir()) == []
    assert not (world.here.parent / "evil").exists()


def test_json_names_everything_that_was_left_out_and_prose_the_first(world: World) -> None:
    for number in range(30):
        (world.here / f"p{number:02}").symlink_to("x")
        os.mkfifo(world.here / f"q{number:02}")

    prose, whole = world.push("-o", "table"), world.push("-o", "json")

    assert "… and 10 more" in prose.err
    assert len(json.loads(whole.out)["skipped"]) == 30
