"""Who holds what, and what may go: nothing that anybody needs, stands on, or has used lately."""

from __future__ import annotations

import os
import sqlite3
import struct
from pathlib import Path

import pytest
from createos_engine.instance import make_directories
from createos_engine.paths import Paths
from createos_engine.services.prune import in_use, of_no_use, remove, touch
from createos_engine.services.usage import Holding, survey, total_bytes
from createos_engine.store.database import Database
from createos_engine.words import State
from createos_images.cache import Cache

from tests.fakes.moments import Moments
from tests.fakes.qcow2_files import FakeDisks
from tests.fakes.rows import sandbox

USED, SUPERSEDED, STOOD_ON = "a" * 64, "b" * 64, "c" * 64
WEEK_S = 7 * 86_400.0
BOX = sandbox(state=State.PAUSED, base_digest=USED, has_memory=True)


@pytest.fixture
async def place(tmp_path: Path) -> tuple[Paths, Cache]:
    """A paused sandbox on a frozen disk, and a cache with more than is needed; everything is old."""
    paths, cache = Paths(tmp_path / "state", tmp_path / "run"), Cache(tmp_path / "cache")
    make_directories(paths)
    for directory in (cache.bases, cache.initramfs, cache.agents / "old"):
        directory.mkdir(parents=True)
    for digest in (USED, SUPERSEDED, STOOD_ON):
        (cache.bases / f"{digest}.raw").write_bytes(b"image")
    for name in ("old.img", "new.img"):
        (cache.initramfs / name).write_bytes(bytes(4096))
    (cache.agents / "old" / "agent").write_bytes(b"program")
    disks = FakeDisks(Moments(lambda _: None))
    paths.sandbox(BOX.id).directory.mkdir()
    await disks.create_overlay(cache.bases / f"{STOOD_ON}.raw", paths.layer("one"), 1)
    await disks.create_on_layer(paths.layer("one"), paths.sandbox(BOX.id).overlay)
    await disks.create_overlay(cache.bases / f"{STOOD_ON}.raw", paths.layer("nobodys"), 1)
    for file in tmp_path.rglob("*"):
        os.utime(file, (0, 0))
    return paths, cache


def _found(place: tuple[Paths, Cache]) -> dict[str, Holding]:
    return {f"{each.kind} {each.name}": each for each in survey(*place, [BOX], [])}


def _removable(place: tuple[Paths, Cache], *, bases: bool = False) -> set[str]:
    found = of_no_use(survey(*place, [BOX], []), place[1], older_than_s=WEEK_S, bases=bases)
    return {each.path.name for each in found}


async def test_everybody_who_needs_a_file_is_named(place: tuple[Paths, Cache]) -> None:
    found = _found(place)

    assert found[f"sandbox disk {BOX.id}"].held_by == (BOX.name,)
    assert found["frozen disk one"].held_by == (BOX.name,)
    assert found["frozen disk nobodys"].held_by == ()
    assert found[f"base image {USED[:12]}"].held_by == (BOX.name,)
    assert BOX.name in found[f"base image {STOOD_ON[:12]}"].held_by
    assert found[f"base image {SUPERSEDED[:12]}"].held_by == ()


async def test_the_disk_of_a_machine_that_stands_by_is_held_by_the_next_create(place: tuple[Paths, Cache]) -> None:
    place[0].sandbox("sb-next").directory.mkdir()

    held_by = {each.name: each.held_by for each in survey(*place, [BOX], [], ["sb-next"])}

    assert (held_by["sb-next"], held_by[BOX.id]) == (("the next create",), (BOX.name,))


async def test_whoever_looks_changes_no_database(tmp_path: Path) -> None:
    Database(tmp_path / "engine.db").close()
    looking = Database(tmp_path / "engine.db", read_only=True)

    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        await looking.write(lambda db: db.execute("DELETE FROM sandboxes"))
    looking.close()


async def test_holes_take_nothing_and_a_second_name_takes_nothing_more(tmp_path: Path) -> None:
    paths, cache = Paths(tmp_path / "state", tmp_path / "run"), Cache(tmp_path / "cache")
    make_directories(paths)
    for name in ("sb-1", "sb-2"):
        (paths.snapshots / name).mkdir()
    with (paths.snapshots / "sb-1" / "memory").open("wb") as memory:
        memory.write(b"x" * 4096)
        memory.truncate(2**30)
    os.link(paths.snapshots / "sb-1" / "memory", paths.snapshots / "sb-2" / "memory")

    found = survey(paths, cache, [], [])

    assert [each.size_bytes for each in found] == [2**30] * 2
    assert total_bytes(found) == found[0].used_bytes < 2**20


async def test_only_what_can_be_rebuilt_and_is_old_goes(place: tuple[Paths, Cache]) -> None:
    touch([place[1].initramfs / "new.img"])

    assert _removable(place) == {"old.img", "old"}


async def test_images_go_only_when_asked_for_and_never_one_that_a_disk_stands_on(place: tuple[Paths, Cache]) -> None:
    assert _removable(place, bases=True) - _removable(place) == {f"{SUPERSEDED}.raw"}


async def test_removing_frees_it_and_leaves_the_rest(place: tuple[Paths, Cache]) -> None:
    found = of_no_use(survey(*place, [BOX], []), place[1], older_than_s=WEEK_S, bases=True)

    remove(found)

    assert _removable(place, bases=True) == set()
    assert (place[1].bases / f"{STOOD_ON}.raw").exists()
    assert place[0].layer("one").exists()


def test_images_in_use_are_known_also_when_a_frozen_disk_is_damaged_or_its_image_is_gone(
    place: tuple[Paths, Cache],
) -> None:
    paths, cache = place
    row = sandbox(base_digest="b" * 64)
    (paths.layers / "damaged.qcow2").write_bytes(b"QFI\xfb")
    lost = paths.layers / "lost.qcow2"
    name = bytes(cache.bases / "gone.raw")
    lost.write_bytes(b"QFI\xfb" + struct.pack(">IQI", 3, 20, len(name)) + name)

    assert cache.bases / f"{'b' * 64}.raw" in in_use(paths, cache, [row])
