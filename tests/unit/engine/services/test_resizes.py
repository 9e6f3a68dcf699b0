"""Growing disks over a real store: intent first, undone when the host refuses, completed when it was cut off."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from createos_engine.errors import Conflict, GuestFailed, HostFailed, Invalid, NotFound, Unavailable
from createos_engine.services.resizes import Resizes
from createos_engine.settings import Settings
from createos_engine.store.database import Database
from createos_engine.store.resizes import ResizeStore
from createos_engine.words import Sandbox, State

from tests.fakes.hypervisor import FakeHypervisor
from tests.unit.engine.services.conftest import World

MIB = 2**20


class _Guest:
    """An agent whose file system follows, unless it refuses; also the only agent there is."""

    def __init__(self) -> None:
        self.grown: list[int] = []
        self.refuses = False

    async def ask(self, kind: str, body: dict[str, Any], deadline_s: float) -> dict[str, object]:
        if self.refuses:
            raise GuestFailed(f"the guest agent could not {kind}: no")
        self.grown.append(body["bytes"])
        return {"bytes": body["bytes"]}

    def get(self, sandbox_id: str) -> _Guest:
        return self

    def connected(self, sandbox_id: str) -> bool:
        return True


@dataclass
class Growing:
    resizes: Resizes
    store: ResizeStore
    hypervisor: FakeHypervisor
    guest: _Guest
    box: Sandbox


@pytest.fixture
async def growing(world: World, database: Database, tmp_path: Path) -> Growing:
    store, hypervisor, guest = ResizeStore(database), FakeHypervisor(), _Guest()
    settings = Settings(state_dir=tmp_path, disk_reserve_mib=0)
    machines: Any = world.machines
    resizes = Resizes(store, world.store, hypervisor, machines, cast("Any", guest), world.locks, settings)
    return Growing(resizes, store, hypervisor, guest, await world.running())


async def test_disk_file_system_row_and_manifest_grow(world: World, growing: Growing) -> None:
    row = await growing.resizes.resize(world.user, "demo-box", 2048)

    assert row.disk_mib == world.store.get(row.id).disk_mib == 2048
    assert growing.hypervisor.disks_mib == {f"vm-{row.id}": 2048}
    assert growing.guest.grown == [2048 * MIB]
    assert world.machines.recorded[row.id].disk_mib == 2048
    assert growing.store.pending() == []


@pytest.mark.parametrize("size", [1024, 1023, 1])
async def test_a_disk_never_shrinks(world: World, growing: Growing, size: int) -> None:
    with pytest.raises(Invalid, match="the disk has 1024 MiB and can only grow"):
        await growing.resizes.resize(world.user, "demo-box", size)

    assert growing.hypervisor.disks_mib == {}


async def test_only_a_running_sandbox_grows(world: World, growing: Growing) -> None:
    await world.store.move(growing.box.id, State.ERROR)

    with pytest.raises(Conflict, match="sandbox is error"):
        await growing.resizes.resize(world.user, "demo-box", 2048)


async def test_nobody_grows_what_is_somebody_elses(world: World, growing: Growing) -> None:
    with pytest.raises(NotFound):
        await growing.resizes.resize(world.user, "unknown", 2048)


async def test_more_than_the_host_has_is_refused_before_anything_is_done(world: World, growing: Growing) -> None:
    with pytest.raises(Unavailable, match="not enough free disk space"):
        await growing.resizes.resize(world.user, "demo-box", 2**31 - 1)

    assert world.store.get(growing.box.id).disk_mib == 1024
    assert growing.store.pending() == []


async def test_when_the_host_refuses_the_row_is_as_before(world: World, growing: Growing) -> None:
    growing.hypervisor.refuse = frozenset({"grow_disk"})

    with pytest.raises(HostFailed):
        await growing.resizes.resize(world.user, "demo-box", 2048)

    assert world.store.get(growing.box.id).disk_mib == 1024
    assert growing.store.pending() == []


async def test_a_guest_that_does_not_follow_is_asked_again(world: World, growing: Growing) -> None:
    growing.guest.refuses = True
    with pytest.raises(GuestFailed):
        await growing.resizes.resize(world.user, "demo-box", 2048)

    await growing.resizes.complete()
    assert growing.store.pending() == [growing.box.id]

    growing.guest.refuses = False
    await growing.resizes.complete()
    assert growing.store.pending() == []
    assert growing.guest.grown == [2048 * MIB]


async def test_what_a_dead_daemon_wrote_down_is_completed(world: World, growing: Growing) -> None:
    await growing.store.begin(growing.box.id, 4096)

    await growing.resizes.complete()

    assert growing.hypervisor.disks_mib == {f"vm-{growing.box.id}": 4096}
    assert world.machines.recorded[growing.box.id].disk_mib == 4096
    assert growing.store.pending() == []


async def test_the_end_of_the_sandbox_ends_what_was_pending(world: World, growing: Growing) -> None:
    await growing.store.begin(growing.box.id, 4096)

    await world.store.move(growing.box.id, State.DESTROYING)

    assert growing.store.pending() == []
