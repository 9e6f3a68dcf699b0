"""Machines that stand by: there for the next create that they fit, gone without a trace when nobody wants them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from createos_engine.drivers.hypervisor import Stopped
from createos_engine.errors import HostFailed
from createos_engine.services import standbys as module
from createos_engine.services.steps import Step
from createos_engine.standby_words import Standby
from createos_engine.store.accounts import AccountStore
from createos_engine.store.database import Database
from createos_engine.store.standbys import StandbyStore
from createos_engine.words import Sandbox

from tests.fakes.machines import FILES
from tests.fakes.rows import sandbox
from tests.unit.engine.services.golden_world import BASE, World, assemble

STEPS = [step for step in Step if step.startswith("standby.")]


@pytest.fixture
async def world(tmp_path: Path, database: Database) -> AsyncIterator[World]:
    world = assemble(tmp_path, database, standbys_kept=1)
    yield world
    await world.background.close()


def waiting(world: World) -> Standby:
    """Return the one that stands by."""
    [standby] = StandbyStore(world.database).all()
    assert standby.ready
    return standby


def left(world: World) -> tuple[list[Standby], list[str], set[str]]:
    """Return rows, directories and machines: nothing of them is left when nobody stands by."""
    directories = [entry.name for entry in world.paths.sandboxes.iterdir()]
    return StandbyStore(world.database).all(), directories, world.machines.hosts


async def inserted(world: World, draft: Sandbox) -> Sandbox:
    """Commit a row as a create does it."""
    user = await AccountStore(world.database).by_uid(0, "root")
    row = sandbox(id=draft.id, user_id=user.id, name=draft.id)
    return await world.store.insert(row, capacity=9, address=lambda slot: f"10.77.0.{slot}")


async def test_the_create_after_a_golden_snapshot_takes_over_a_machine_with_its_id_and_slot(world: World) -> None:
    await world.create()
    standby = waiting(world)

    draft = await world.starts.claim(sandbox(id="sb-draft"), FILES)
    row = await inserted(world, draft)
    await world.starts.start(row, BASE, FILES)

    assert (row.id, row.slot) == (standby.id, standby.slot)
    assert world.machines.taken_over == [standby.id]
    assert world.machines.restored == []
    assert standby not in StandbyStore(world.database).all()


async def test_another_stands_by_as_soon_as_one_was_taken_over(world: World) -> None:
    await world.create()
    taken = await world.create()

    await world.settled()

    assert world.machines.taken_over == [taken.id]
    assert {standby.id for standby in StandbyStore(world.database).all()} > {taken.id}


@pytest.mark.parametrize("other", [{"mem_mib": 512}, {"base_digest": "f" * 64}, {"disk_mib": 512}])
async def test_a_create_that_it_does_not_fit_leaves_it_alone(world: World, other: dict[str, Any]) -> None:
    await world.create()

    draft = await world.starts.claim(sandbox(id="sb-draft", **other), FILES)

    assert draft.id == "sb-draft"
    assert waiting(world)


async def test_a_larger_disk_grows_afterwards(world: World) -> None:
    await world.create()

    await world.create(disk_mib=2048)

    assert world.machines.grown == [2048]


async def test_one_that_was_claimed_for_nothing_waits_again(world: World) -> None:
    await world.create()
    draft = await world.starts.claim(sandbox(id="sb-draft"), FILES)
    assert (await world.starts.claim(sandbox(id="sb-other"), FILES)).id == "sb-other"

    world.starts.release(draft.id)

    assert (await world.starts.claim(sandbox(id="sb-other"), FILES)).id == draft.id


async def test_one_that_a_create_has_claimed_and_gave_up_is_ended(world: World) -> None:
    first = await world.create()
    row = await inserted(world, await world.starts.claim(sandbox(id="sb-draft"), FILES))
    assert row.id in world.standbys.guests

    await world.starts.abandon(row)
    await world.starts.abandon(row)

    assert left(world) == ([], [], {first.id})
    assert world.standbys.guests == frozenset()


async def test_one_that_cannot_be_ended_at_the_start_keeps_nobody_from_starting(world: World) -> None:
    await world.create()
    standby = waiting(world)
    again = assemble(world.settings.state_dir, world.database, standbys_kept=1)
    again.machines.refuse = "libvirt does not answer"

    await again.standbys.sweep()
    assert StandbyStore(world.database).all() == [standby]
    again.machines.refuse = ""
    await again.standbys.sweep()

    assert StandbyStore(world.database).all() == []
    await again.background.close()


async def test_one_that_does_not_go_on_is_ended_and_the_create_is_forked(world: World) -> None:
    await world.create()
    world.machines.not_taken_over = "the guest agent did not answer"

    row = await world.create()

    assert [forked for forked, _ in world.machines.restored] == [row.id]
    assert row.id in world.machines.hosts


async def test_one_that_is_not_made_leaves_nothing(world: World) -> None:
    world.machines.not_restored = "the guest agent did not answer"

    row = await world.create()

    assert left(world) == ([], [], {row.id})


async def test_what_was_wanted_last_takes_the_place_of_what_waits(world: World) -> None:
    await world.create()
    before = waiting(world)

    await world.create(mem_mib=512)

    assert waiting(world).key != before.key
    assert before.id not in world.machines.hosts


async def test_one_that_nobody_wants_for_long_is_ended(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    row = await world.create()
    await world.standbys.tidy()
    assert waiting(world)
    monkeypatch.setattr(module, "_KEPT_FOR", timedelta(0))

    await world.standbys.tidy()

    assert left(world) == ([], [], {row.id})


async def test_one_whose_golden_snapshot_has_gone_is_ended(world: World) -> None:
    row = await world.create()
    await world.goldens.drop(world.rows.all()[0].id, "it is of no use")

    await world.standbys.tidy()

    assert left(world) == ([], [], {row.id})


async def test_one_that_could_not_be_ended_is_ended_the_next_time(world: World) -> None:
    row = await world.create()
    standby = waiting(world)
    world.machines.refuse = "libvirt does not answer"
    with pytest.raises(HostFailed):
        await world.starts.make_room()
    assert StandbyStore(world.database).all() == [standby]
    world.machines.refuse = ""

    await world.standbys.tidy()

    assert left(world) == ([], [], {row.id})


async def test_what_is_left_of_one_that_ended_by_itself_is_cleared_away(world: World) -> None:
    row = await world.create()
    standby = waiting(world)

    world.standbys.machine_stopped(Stopped("vm", standby.id, "QEMU crashed"))
    await world.background.drain("stood by", 10)

    assert left(world) == ([], [], {row.id})


async def test_they_make_room_for_who_needs_their_memory(world: World) -> None:
    row = await world.create()

    assert await world.starts.make_room()

    assert left(world) == ([], [], {row.id})
    assert not await world.starts.make_room()


async def test_a_daemon_that_ends_leaves_none(world: World) -> None:
    row = await world.create()

    await world.standbys.close()
    world.standbys.wish(row, FILES)
    await world.settled()

    assert left(world) == ([], [], {row.id})


async def test_without_the_setting_none_stands_by(tmp_path: Path, database: Database) -> None:
    world = assemble(tmp_path, database, standbys_kept=0)

    row = await world.create()
    await world.create()

    assert left(world)[0] == []
    assert row.id in world.machines.hosts
    await world.background.close()


@pytest.mark.parametrize("step", [step for step in STEPS if step is not Step.STANDBY_TAKEN])
async def test_after_a_kill_at_any_step_the_next_start_leaves_nothing(world: World, step: Step) -> None:
    world.steps.at = step
    await world.create()

    with closing(Database(world.steps.copy / "engine.db")) as database:
        again = assemble(world.steps.copy, database)
        assert StandbyStore(database).all()
        await again.standbys.sweep()

        assert left(again) == ([], [], set())
        await again.background.close()


async def test_after_a_kill_in_a_take_over_the_row_is_a_sandboxs(world: World) -> None:
    """Reconcile ends what was being created; the next start finds no machine that stands by."""
    await world.create()
    row = await inserted(world, await world.starts.claim(sandbox(id="sb-draft"), FILES))
    world.steps.at = Step.STANDBY_TAKEN

    await world.starts.start(row, BASE, FILES)

    with closing(Database(world.steps.copy / "engine.db")) as database:
        assert StandbyStore(database).all() == []
        assert assemble(world.steps.copy, database).store.get(row.id).state is row.state


async def test_nobody_else_gets_the_slot_of_one_that_waits(world: World) -> None:
    await world.create()

    other = await inserted(world, sandbox(id="sb-other"))

    assert other.slot != waiting(world).slot
    assert world.store.slots_in_use() == {other.slot, waiting(world).slot}


async def test_a_row_that_is_refused_leaves_the_machine_and_its_slot_as_they_were(world: World) -> None:
    await world.create()
    standby = waiting(world)
    await inserted(world, sandbox(id="sb-other"))
    user = await AccountStore(world.database).by_uid(0, "root")
    taken = sandbox(id=standby.id, user_id=user.id, name="sb-other")

    with pytest.raises(Exception, match="already have a sandbox named"):
        await world.store.insert(taken, capacity=9, address=lambda slot: f"10.77.0.{slot}")

    assert waiting(world) == standby
