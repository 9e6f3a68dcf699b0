"""Synchronising two directories through the real agent."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from createos_cli.sync.entries import Side
from createos_cli.sync.plan import Mode

from tests.unit.cli.sync.conftest import World, contents


def test_what_either_side_has_both_have(world: World) -> None:
    (world.local / "a").write_text("from here")
    (world.local / "empty").mkdir()
    (world.remote / "d" / "e").mkdir(parents=True)
    (world.remote / "d" / "e" / "b").write_text("from there")
    (world.remote / "zero").touch()

    outcome = world.sync()

    assert world.both() == {
        "a": "644 from here", "empty": "/", "d": "/", "d/e": "/", "d/e/b": "644 from there", "zero": "644 ",
    }  # fmt: skip
    assert (outcome.sent, outcome.received, outcome.problems) == (1, 2, {})


def test_nothing_to_do_is_done_without_reading_a_file(world: World) -> None:
    (world.local / "a").write_text("x")
    (world.remote / "b").write_text("y")
    world.sync()
    world.sync()

    # Unreadable now: whoever tried would fail.
    for path in (world.local / "a", world.local / "b"):
        path.with_name("gone").unlink(missing_ok=True)
    outcome = world.sync()

    assert not outcome.did_something


def test_edits_go_the_way_they_were_made(world: World) -> None:
    (world.local / "a").write_text("1")
    (world.remote / "b").write_text("1")
    world.sync()

    (world.local / "b").write_text("2 from here")
    (world.remote / "a").write_text("2 from there")
    world.sync()

    assert world.both() == {"a": "644 2 from there", "b": "644 2 from here"}


def test_an_edit_that_keeps_size_and_time_of_day_is_seen(world: World) -> None:
    (world.local / "a").write_text("one")
    world.sync()
    stamp = (world.local / "a").stat()

    (world.local / "a").write_text("two")
    os.utime(world.local / "a", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    world.sync()

    assert world.both() == {"a": "644 two"}


def test_removals_follow(world: World) -> None:
    for name in "abc":
        (world.local / "d").mkdir(exist_ok=True)
        (world.local / "d" / name).write_text(name)
    (world.local / "stays").write_text("x")
    world.sync()

    (world.local / "d" / "a").unlink()
    (world.remote / "d" / "b").unlink()
    world.sync()
    assert set(world.both()) == {"d", "d/c", "stays"}
    (world.remote / "d" / "c").unlink()
    (world.remote / "d").rmdir()
    world.sync()

    assert set(world.both()) == {"stays"}


def test_two_edits_of_one_file_are_both_kept_on_both_sides(world: World) -> None:
    (world.local / "a").write_text("base")
    world.sync()
    (world.local / "a").write_text("mine")
    (world.remote / "a").write_text("theirs")

    outcome = world.sync()

    (copy,) = [name for name in world.both() if name != "a"]
    assert re.fullmatch(r"a\.conflict-remote-\d{8}-\d{6}", copy)
    assert world.both() == {"a": "644 mine", copy: "644 theirs"}
    assert outcome.conflicts == {"a": copy}
    assert "Conflict: a was changed on both sides" in world.warnings


def test_the_same_edit_on_both_sides_is_no_conflict(world: World) -> None:
    (world.local / "a").write_text("base")
    world.sync()
    (world.local / "a").write_text("same")
    (world.remote / "a").write_text("same")

    outcome = world.sync()

    assert world.both() == {"a": "644 same"}
    assert not outcome.did_something


def test_an_edit_wins_against_a_removal(world: World) -> None:
    (world.local / "d").mkdir()
    (world.local / "d" / "a").write_text("1")
    (world.local / "b").write_text("1")
    world.sync()

    (world.local / "d" / "a").unlink()
    (world.local / "d").rmdir()
    (world.remote / "d" / "a").write_text("edited there")
    (world.remote / "b").unlink()
    (world.local / "b").write_text("edited here")
    world.sync()

    assert world.both() == {"d": "/", "d/a": "644 edited there", "b": "644 edited here"}


def test_a_renamed_file_is_not_sent_again(world: World) -> None:
    (world.local / "old").mkdir()
    (world.local / "old" / "big").write_bytes(b"x" * 100_000)
    (world.local / "other").write_text("x")
    world.sync()

    (world.local / "old").rename(world.local / "new")
    outcome = world.sync()

    assert set(world.both()) == {"new", "new/big", "other"}
    assert (outcome.renamed, outcome.sent, outcome.removed) == (1, 0, 0)


def test_modes_follow_but_not_what_would_open_a_file_to_others(world: World) -> None:
    (world.local / "run").write_text("#!/bin/sh")
    (world.remote / "open").write_text("x")
    world.sync()

    (world.local / "run").chmod(0o755)
    (world.remote / "open").chmod(0o6777)
    world.sync()

    assert (world.remote / "run").stat().st_mode & 0o7777 == 0o755
    assert (world.local / "open").stat().st_mode & 0o7777 == 0o755
    assert not world.sync().did_something


def test_links_that_stay_inside_follow_and_others_are_skipped(world: World) -> None:
    (world.local / "d").mkdir()
    (world.local / "d" / "up").symlink_to("../target")
    (world.local / "target").write_text("x")
    (world.remote / "absolute").symlink_to("/etc/passwd")
    (world.remote / "out").symlink_to("../../secret")
    (world.remote / "sly").symlink_to("d/../../secret")

    outcome = world.sync()

    assert (world.remote / "d" / "up").readlink() == Path("../target")
    assert set(contents(world.local)) == {"d", "d/up", "target"}
    assert {path for _, path in outcome.remarks} == {"absolute", "out", "sly"}


def test_special_files_are_skipped_and_told(world: World) -> None:
    os.mkfifo(world.local / "pipe")
    (world.local / "a").write_text("x")

    outcome = world.sync()

    assert contents(world.remote) == {"a": "644 x"}
    assert outcome.remarks == {(Side.LOCAL, "pipe"): "neither a file, a directory nor a link"}


def test_what_is_left_out_is_left_alone_on_both_sides(world: World) -> None:
    for root in (world.local, world.remote):
        (root / ".git").mkdir()
        (root / ".git" / "HEAD").write_text(str(root))
        (root / "a.o").write_text(str(root))
    (world.local / "a.c").write_text("x")

    world.sync(exclude=("*.o",))

    assert (world.remote / "a.c").read_text() == "x"
    assert (world.remote / "a.o").read_text() == str(world.remote)
    assert (world.local / ".git" / "HEAD").read_text() == str(world.local)


def test_a_file_that_became_a_directory_and_back(world: World) -> None:
    (world.local / "x").write_text("file")
    world.sync()

    (world.local / "x").unlink()
    (world.local / "x").mkdir()
    (world.local / "x" / "y").write_text("inside")
    world.sync()
    assert world.both() == {"x": "/", "x/y": "644 inside"}
    (world.remote / "x" / "y").unlink()
    (world.remote / "x").rmdir()
    (world.remote / "x").write_text("file again")
    world.sync()

    assert world.both() == {"x": "644 file again"}


def test_names_that_are_no_text_or_steer_terminals(world: World) -> None:
    names = [b"gr\xfc\xdfe", b"new\nline", b"\x1b[31mred", b"-rf", b" ", b"n" * 255]
    for name in names:
        (world.local / os.fsdecode(name)).write_text("x")

    world.sync()

    assert sorted(map(os.fsencode, contents(world.remote))) == sorted(names)


def test_large_files_both_ways(world: World) -> None:
    up, down = os.urandom(3_000_001), os.urandom(7_000_000)
    (world.local / "up").write_bytes(up)
    (world.remote / "down").write_bytes(down)

    world.sync()

    assert (world.remote / "up").read_bytes() == up
    assert (world.local / "down").read_bytes() == down


@pytest.mark.parametrize(("mode", "extra_stays"), [(Mode.ONE_WAY, True), (Mode.MIRROR, False)])
def test_local_wins_in_the_other_modes(world: World, mode: Mode, extra_stays: bool) -> None:
    (world.local / "a").write_text("mine")
    (world.remote / "a").write_text("theirs!")
    (world.remote / "extra").write_text("x")
    (world.remote / "dir").mkdir()
    (world.remote / "dir" / "x").write_text("x")
    world.sync(mode)

    assert contents(world.local) == {"a": "644 mine"}
    assert (world.remote / "a").read_text() == "mine"
    assert (world.remote / "extra").exists() is extra_stays
    assert (world.remote / "dir").exists() is extra_stays
    (world.local / "a").unlink()
    (world.local / "b").write_text("b")
    (world.remote / "extra2").write_text("x")
    world.sync(mode)
    assert not (world.remote / "a").exists()
    assert contents(world.local) == {"b": "644 b"}


def test_no_half_written_file_is_left(world: World) -> None:
    staging = world.local / ".createos-sync-tmp" / "999999999-dead"
    staging.mkdir(parents=True)
    (staging / "half").write_text("x")
    (world.remote / ".createos-sync-tmp" / "dead").mkdir(parents=True)
    (world.remote / ".createos-sync-tmp" / "dead" / "half").write_text("x")
    (world.local / "a").write_text("x")

    world.sync()

    assert world.both() == {"a": "644 x"}
