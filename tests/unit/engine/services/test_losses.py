"""Machines and agents that go away: an error with a reason, or a repair."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest
from createos_engine.paths import Paths
from createos_engine.services import losses as module
from createos_engine.services.losses import Losses
from createos_engine.words import Sandbox, State

from tests.fakes.hypervisor import FakeHypervisor
from tests.unit.engine.services.conftest import World


class _Agents:
    """Nobody is connected."""

    def connected(self, sandbox_id: str) -> bool:
        return False


@pytest.fixture
def hypervisor() -> FakeHypervisor:
    return FakeHypervisor()


@pytest.fixture
def losses(world: World, hypervisor: FakeHypervisor, tmp_path: Path) -> Losses:
    losses = Losses(
        world.store,
        hypervisor,
        cast("Any", world.machines),
        cast("Any", _Agents()),
        world.locks,
        world.background,
        Paths(tmp_path, tmp_path),
        grace_s=0.0,
    )
    hypervisor.on_stopped(losses.machine_stopped)
    return losses


async def with_machine(world: World, hypervisor: FakeHypervisor) -> Sandbox:
    row = await world.running()
    hypervisor.machines[world.machines.name(row.id)] = row.id
    return row


async def settled(world: World) -> None:
    await world.background.drain("lost", 5)


@pytest.mark.usefixtures("losses")
async def test_a_machine_that_ends_is_an_error_with_the_hypervisors_word_and_the_consoles(
    world: World, hypervisor: FakeHypervisor, tmp_path: Path
) -> None:
    row = await with_machine(world, hypervisor)
    console = tmp_path / "sandboxes" / row.id / "console.log"
    console.parent.mkdir(parents=True)
    console.write_text("panic: no init\n")

    hypervisor.dies(world.machines.name(row.id), "QEMU crashed")
    await settled(world)

    lost = world.store.get(row.id)
    assert lost.state is State.ERROR
    assert lost.reason == "its machine ended by itself (QEMU crashed); the console ends with: panic: no init"
    assert row.id in world.machines.hosts


async def test_an_agent_that_comes_back_is_no_loss(world: World, hypervisor: FakeHypervisor, losses: Losses) -> None:
    row = await with_machine(world, hypervisor)

    losses.agent_lost(row.id, "the guest closed the channel")
    await settled(world)

    assert world.store.state(row.id) is State.RUNNING


async def test_an_agent_that_does_not_come_back_is_an_error_with_both_reasons(
    world: World, hypervisor: FakeHypervisor, losses: Losses
) -> None:
    row = await with_machine(world, hypervisor)
    world.machines.adopt = _never  # type: ignore[method-assign]

    losses.agent_lost(row.id, "a frame with a bad header")
    await settled(world)

    lost = world.store.get(row.id)
    assert lost.state is State.ERROR
    assert "a frame with a bad header" in lost.reason
    assert "silence" in lost.reason


async def test_an_agent_that_is_lost_again_and_again_is_an_error_although_it_comes_back(
    world: World, hypervisor: FakeHypervisor, losses: Losses
) -> None:
    row = await with_machine(world, hypervisor)

    for _ in range(module.MOST_LOSSES):
        losses.agent_lost(row.id, "a frame with a bad header")
        await settled(world)
        assert world.store.state(row.id) is State.RUNNING
    losses.agent_lost(row.id, "a frame with a bad header")
    await settled(world)

    lost = world.store.get(row.id)
    assert lost.state is State.ERROR
    assert lost.reason == "its agent was lost 6 times within 5 minutes (at last: a frame with a bad header)"
    assert row.id in world.machines.hosts


async def test_losses_of_long_ago_are_forgotten(
    world: World, hypervisor: FakeHypervisor, losses: Losses, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = await with_machine(world, hypervisor)
    monkeypatch.setattr(module, "LOSSES_WITHIN_S", 0.0)

    for _ in range(module.MOST_LOSSES + 2):
        losses.agent_lost(row.id, "the guest closed the channel")
        await settled(world)

    assert world.store.state(row.id) is State.RUNNING


async def test_what_is_being_destroyed_cannot_be_lost(world: World, hypervisor: FakeHypervisor, losses: Losses) -> None:
    row = await with_machine(world, hypervisor)
    await world.store.move(row.id, State.DESTROYING)

    hypervisor.dies(world.machines.name(row.id), "it was destroyed from outside")
    losses.agent_lost(row.id, "gone")
    await settled(world)

    assert world.store.state(row.id) is State.DESTROYING


async def test_a_late_word_of_an_end_that_was_repaired_changes_nothing(
    world: World, hypervisor: FakeHypervisor, losses: Losses
) -> None:
    row = await with_machine(world, hypervisor)

    await losses.machine_gone(row.id, "an old rumour")
    await asyncio.sleep(0)

    assert world.store.state(row.id) is State.RUNNING


async def _never(sandbox: Sandbox, *, deadline_s: float) -> None:
    from createos_engine.errors import GuestFailed

    raise GuestFailed("silence")
