"""Checkpoints: a state with a name, which stays whatever becomes of its sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from createos_engine.errors import Invalid, NotFound
from createos_engine.words import NewFork, Page, Sandbox, State

from tests.fakes.crash_census import wrong
from tests.fakes.crash_world import CrashWorld
from tests.fakes.qcow2_files import words


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[CrashWorld]:
    world = await CrashWorld(tmp_path / "state").open()
    await world.start()
    yield world
    await world.close()


async def _fork(world: CrashWorld, name: str) -> Sandbox:
    child = await world.checkpoints.fork(world.user, name, NewFork())
    await world.settle()
    return world.store.get(child.id)


async def test_a_running_sandbox_goes_on_and_the_checkpoint_stays_as_it_was(world: CrashWorld) -> None:
    box = await world.box()
    await world.checkpoints.create(world.user, box.id, "before")
    await world.settle()
    world.write(box, b"later ")

    child = await _fork(world, "before")

    assert world.store.state(box.id) is State.RUNNING
    assert b"later" in words(world.paths.sandbox(box.id).overlay)
    assert (child.state, child.forked_from) == (State.RUNNING, box.id)
    assert words(world.paths.sandbox(child.id).overlay).startswith(b"first ")
    assert b"later" not in words(world.paths.sandbox(child.id).overlay)
    assert wrong(world, memory_safe=True) == []


async def test_a_checkpoint_outlives_its_sandbox(world: CrashWorld) -> None:
    box = await world.box()
    await world.checkpoints.create(world.user, box.id, "before")
    await world.settle()
    await world.sandboxes.delete(world.user, box.id)
    await world.settle()

    child = await _fork(world, "before")

    assert child.state is State.RUNNING
    assert words(world.paths.sandbox(child.id).overlay).startswith(b"first ")


async def test_the_last_one_to_need_a_frozen_disk_takes_it_along(world: CrashWorld) -> None:
    box = await world.box()
    await world.checkpoints.create(world.user, box.id, "before")
    await world.settle()
    await world.sandboxes.delete(world.user, box.id)
    await world.settle()
    held = len(list(world.paths.layers.iterdir()))

    await world.checkpoints.delete(world.user, "before")

    assert (held, list(world.paths.layers.iterdir()), list(world.paths.snapshots.iterdir())) == (1, [], [])


async def test_each_follows_the_one_before_it_also_over_forks_and_deletes(world: CrashWorld) -> None:
    box = await world.box()
    first = await world.checkpoints.create(world.user, box.id, "first")
    await world.settle()
    second = await world.checkpoints.create(world.user, box.id, "second")
    await world.settle()
    child = await _fork(world, "first")
    third = await world.checkpoints.create(world.user, child.id, "third")
    await world.settle()
    parents = (first.parent, second.parent, third.parent)

    await world.checkpoints.delete(world.user, "first")

    assert parents == ("", first.id, first.id)
    rows, total = await world.checkpoints.list(world.user, Page())
    assert ([row.name for row in rows], total) == (["third", "second"], 2)
    assert {row.parent for row in rows} == {""}


async def test_a_name_is_taken_once_and_an_unknown_one_is_not_found(world: CrashWorld) -> None:
    box = await world.box()
    await world.checkpoints.create(world.user, box.id, "before")
    await world.settle()

    with pytest.raises(Invalid, match="already have a checkpoint named before"):
        await world.checkpoints.create(world.user, box.id, "before")
    await world.settle()

    assert world.store.state(box.id) is State.RUNNING
    with pytest.raises(NotFound, match="checkpoint not found"):
        await world.checkpoints.get(world.user, "other")
