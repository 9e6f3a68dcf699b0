"""Golden snapshots over a real store and real files: built when there is time, used while they fit, and no trouble."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from createos_engine.drivers.hypervisor import Makeup
from createos_engine.golden_words import GoldenState
from createos_engine.services.goldens import key_of
from createos_engine.services.manifests import Needs
from createos_engine.services.progress import BootFiles
from createos_engine.services.steps import Step
from createos_engine.store.accounts import AccountStore
from createos_engine.store.database import Database
from createos_engine.words import Accelerator, State

from tests.fakes.machines import FILES
from tests.fakes.rows import sandbox
from tests.unit.engine.services.golden_world import BASE, World, assemble

GOLDEN_STEPS = [step for step in Step if step.startswith("golden.") and step is not Step.GOLDEN_DISK]


@pytest.fixture
async def world(tmp_path: Path, database: Database) -> AsyncIterator[World]:
    world = assemble(tmp_path, database)
    yield world
    await world.background.close()


async def test_the_create_after_a_cold_one_starts_from_a_golden_snapshot(world: World) -> None:
    first = await world.create()
    second = await world.create()

    golden = world.rows.all()[0]
    assert world.machines.booted == [first.id]
    assert world.machines.restored == [(second.id, golden.id)]
    assert (golden.state, golden.uses) == (GoldenState.READY, 1)
    assert golden.last_used_at is not None


async def test_a_guest_does_what_its_copies_do_first_and_comes_to_rest_before_it_is_saved(world: World) -> None:
    await world.create()

    assert world.machines.agent.asked == ["configure", "run", "settle"]


async def test_nothing_is_left_of_the_machine_that_became_a_golden_snapshot(world: World) -> None:
    row = await world.create()

    assert world.machines.hosts == {row.id}
    assert list(world.paths.goldens.iterdir()) == []


async def test_a_create_that_asks_for_it_boots_and_asks_for_no_golden_snapshot(world: World) -> None:
    await world.starts.start(sandbox(id="sb-cold"), BASE, FILES, cold=True)
    await world.settled()

    assert world.machines.booted == ["sb-cold"]
    assert world.rows.all() == []


async def test_a_larger_disk_grows_after_the_start(world: World) -> None:
    await world.create(disk_mib=512)

    await world.create(disk_mib=2048)

    assert len(world.machines.restored) == 1
    assert world.machines.grown == [2048]


async def test_a_smaller_disk_boots_and_the_next_golden_snapshot_fits_both(world: World) -> None:
    await world.create(disk_mib=2048)

    await world.create(disk_mib=512)

    assert [golden.disk_mib for golden in world.rows.all()] == [512]
    assert len(world.machines.booted) == 2


async def test_a_golden_snapshot_that_does_not_start_is_dropped_and_the_create_boots(world: World) -> None:
    await world.create()
    dropped = world.rows.all()[0].id
    world.machines.not_restored = "the guest agent did not answer"

    row = await world.create()

    assert row.id in world.machines.hosts
    assert dropped not in {golden.id for golden in world.rows.all()}
    assert dropped not in world.snapshots.ids()


async def test_a_guest_whose_snapshots_never_start_is_not_saved_over_and_over(world: World) -> None:
    world.machines.not_restored = "the guest agent did not answer"

    rows = [await world.create() for _ in range(5)]

    assert world.machines.booted == [row.id for row in rows]
    assert world.rows.all() == []


async def test_one_that_is_damaged_on_disk_is_dropped_and_the_create_boots(world: World) -> None:
    await world.create()
    dropped = world.rows.all()[0].id
    world.paths.snapshot(dropped).manifest.write_text("{}")

    await world.create()

    assert len(world.machines.booted) == 2
    assert dropped not in world.snapshots.ids()


async def test_nothing_is_built_while_a_sandbox_is_being_started(world: World, database: Database) -> None:
    user = await AccountStore(database).by_uid(0, "root")
    waiting = sandbox(id="sb-waiting", user_id=user.id, state=State.CREATING, name="waiting")
    await world.store.insert(waiting, capacity=9, address=lambda slot: f"10.77.0.{slot}")
    await world.builds.wish(sandbox(id="sb-done"), BASE, FILES)
    await asyncio.sleep(0.3)
    assert world.rows.all() == []

    await world.store.move("sb-waiting", State.FAILED)
    await world.settled()

    assert [golden.state for golden in world.rows.all()] == [GoldenState.READY]


async def test_a_build_that_fails_leaves_nothing_and_no_create_notices(world: World) -> None:
    world.machines.not_blank = "the machine ended by itself while it booted"

    row = await world.create()

    assert world.machines.hosts == {row.id}
    assert world.rows.all() == []
    assert world.files() == set()


@pytest.mark.parametrize("step", GOLDEN_STEPS)
async def test_after_a_kill_at_any_step_the_next_start_leaves_nothing_half_built(world: World, step: Step) -> None:
    world.steps.at = step
    await world.create()

    with closing(Database(world.steps.copy / "engine.db")) as database:
        again = assemble(world.steps.copy, database)
        await again.builds.sweep(FILES)

        built = [GoldenState.READY] if step is Step.GOLDEN_READY else []
        assert [golden.state for golden in again.rows.all()] == built
        assert bool(again.files()) is bool(built)
        await again.background.close()


async def test_what_fits_nothing_any_more_is_removed_at_the_next_start(world: World) -> None:
    await world.create()

    await world.builds.sweep(replace(FILES, digests=("another kernel", "another agent")))

    assert world.rows.all() == []
    assert world.files() == set()


async def test_files_that_no_row_knows_are_removed_at_the_next_start(world: World) -> None:
    for directory in (world.paths.goldens / "gold-1", world.paths.snapshots / "gold-2.partial"):
        directory.mkdir()

    await world.builds.sweep(FILES)

    assert world.files() == set()


async def test_another_qemu_makes_creates_boot(world: World) -> None:
    await world.create()
    world.hypervisor.version = "8.0.0"

    await world.create()

    assert len(world.machines.booted) == 2


async def test_without_a_budget_every_create_boots_and_what_was_built_goes(world: World, database: Database) -> None:
    await world.create()

    without = assemble(world.settings.state_dir, database, budget_mib=0)
    await without.builds.sweep(FILES)
    await without.create()
    await without.background.close()

    assert without.machines.restored == []
    assert without.rows.all() == []


async def test_what_was_not_used_for_longest_makes_room_but_for_what_is_pinned(world: World) -> None:
    for number, mem_mib in enumerate((128, 256, 512)):
        await world.create(mem_mib=mem_mib)
        assert len(world.rows.all()) == number + 1
    pinned, unused, used = (golden.id for golden in world.rows.all())
    for golden_id in (pinned, unused, used):
        await world.rows.ready(golden_id, 400 * 2**20)
    await world.rows.pin(pinned, pinned=True)
    await world.goldens.used(used)

    await world.goldens.keep_budget()

    assert {golden.id for golden in world.rows.all()} == {pinned, used}


async def test_a_guest_that_does_not_fit_into_the_budget_is_not_built(world: World) -> None:
    await world.create(mem_mib=4096)

    assert world.rows.all() == []


_NEEDS = Needs("base", 1, 256, "tcg", Makeup("7.2.22", "pc-q35-7.2", "default"))


@pytest.mark.parametrize(
    ("needs", "files"),
    [
        (replace(_NEEDS, base_digest="another"), FILES),
        (replace(_NEEDS, vcpu=2), FILES),
        (replace(_NEEDS, mem_mib=512), FILES),
        (replace(_NEEDS, accelerator=Accelerator.KVM.value), FILES),
        (replace(_NEEDS, makeup=Makeup("8.0.0", "pc-q35-7.2", "default")), FILES),
        (replace(_NEEDS, makeup=Makeup("7.2.22", "pc-q35-8.0", "default")), FILES),
        (replace(_NEEDS, makeup=Makeup("7.2.22", "pc-q35-7.2", "another")), FILES),
        (_NEEDS, replace(FILES, kernel=Path("/another"))),
        (_NEEDS, replace(FILES, digests=("kernel", "agent"))),
        (_NEEDS, replace(FILES, cmdline="loud")),
    ],
)
def test_everything_that_memory_depends_on_is_in_the_key(needs: Needs, files: BootFiles) -> None:
    assert key_of(needs, files) != key_of(_NEEDS, FILES)
