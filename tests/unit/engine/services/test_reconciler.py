"""Reconcile carries its plan out: once is enough, twice changes nothing, and one failure stops nobody else."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from createos_engine.paths import Paths
from createos_engine.services.losses import Losses
from createos_engine.services.plan import Plan
from createos_engine.services.reconcile import Reconciler
from createos_engine.words import State

from tests.fakes.hypervisor import FakeHypervisor
from tests.fakes.rows import sandbox
from tests.unit.engine.services.conftest import World


class _Network:
    """Links by slot."""

    def __init__(self) -> None:
        self.slots: set[int] = set()

    async def connected(self) -> frozenset[int]:
        return frozenset(self.slots)

    async def disconnect(self, slot: int) -> None:
        self.slots.discard(slot)


class _Agents:
    """Whoever was adopted is connected."""

    def __init__(self) -> None:
        self.ids: set[str] = set()

    def connected(self, sandbox_id: str) -> bool:
        return sandbox_id in self.ids


class Host:
    """A host as reconcile finds it."""

    def __init__(self, world: World, tmp_path: Path) -> None:
        self.world, self.hypervisor, self.network, self.agents = world, FakeHypervisor(), _Network(), _Agents()
        paths = Paths(tmp_path, tmp_path)
        self.directories = paths.sandboxes
        agents, machines = cast("Any", self.agents), cast("Any", world.machines)
        losses = Losses(world.store, self.hypervisor, machines, agents, world.locks, world.background, paths)
        self.reconciler = Reconciler(
            world.store,
            self.hypervisor,
            cast("Any", self.network),
            machines,
            agents,
            world.sandboxes,
            world.networks,
            losses,
            world.locks,
            paths,
            {},
            world.remains,
            frozenset,
            keep_destroyed=timedelta(days=1),
        )

    async def row(self, number: int, state: State) -> str:
        """Store a sandbox in a state, as a dead daemon left it."""
        store, identity = self.world.store, f"sb-{number}"
        draft = sandbox(id=identity, name=f"n{number}", user_id=self.world.user.id)
        await store.insert(draft, capacity=100, address=lambda slot: f"10.77.0.{slot + 1}")
        if state is State.DESTROYING:
            await store.move(identity, State.RUNNING)
        if state is not State.CREATING:
            await store.move(identity, state)
        return identity


@pytest.fixture
def host(world: World, tmp_path: Path) -> Host:
    return Host(world, tmp_path)


async def test_what_a_dead_daemon_left_is_put_in_order(host: Host) -> None:
    unfinished = await host.row(1, State.CREATING)
    lost = await host.row(2, State.RUNNING)
    doomed = await host.row(3, State.DESTROYING)

    await host.reconciler.run()

    store = host.world.store
    assert store.state(unfinished) is State.FAILED
    assert "createosd was stopped" in store.get(unfinished).reason
    assert store.state(lost) is State.ERROR
    assert "its machine is gone" in store.get(lost).reason
    assert store.state(doomed) is State.DESTROYED


async def test_orphans_are_removed_and_strange_directories_kept(host: Host) -> None:
    host.hypervisor.machines["vm-sb-9"] = "sb-9"
    host.network.slots.add(9)
    (host.directories / "sb-9").mkdir()

    await host.reconciler.run()

    assert host.hypervisor.machines == {}
    assert host.network.slots == set()
    assert (host.directories / "sb-9").is_dir()


async def test_one_failure_does_not_stop_the_rest(host: Host) -> None:
    doomed = await host.row(1, State.DESTROYING)
    host.world.machines.refuse = "libvirt is away"
    host.network.slots.add(9)

    await host.reconciler.run()

    assert host.world.store.state(doomed) is State.DESTROYING
    assert host.network.slots == set()


async def test_a_second_run_finds_nothing_to_do(host: Host) -> None:
    await host.row(1, State.CREATING)
    await host.row(2, State.RUNNING)
    host.network.slots.add(9)
    await host.reconciler.run()

    again = await host.reconciler.run()

    assert again == Plan()


async def test_what_an_operation_has_in_hand_is_left_to_it(host: Host) -> None:
    busy = await host.row(1, State.RUNNING)

    async with host.world.locks.hold(busy):
        await host.reconciler.run()

    assert host.world.store.state(busy) is State.RUNNING
