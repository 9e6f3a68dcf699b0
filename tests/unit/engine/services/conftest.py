"""A real store and the services over it, with machines that exist in a dict."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, cast

import pytest
from createos_engine.drivers.disk import Disks
from createos_engine.instance import make_directories
from createos_engine.paths import Paths
from createos_engine.services.background import Background
from createos_engine.services.layers import Layers
from createos_engine.services.locks import SandboxLocks
from createos_engine.services.network import Network
from createos_engine.services.networks import Networks
from createos_engine.services.progress import Progress
from createos_engine.services.remains import Remains
from createos_engine.services.sandboxes import Sandboxes
from createos_engine.services.snapshots import Snapshots
from createos_engine.services.steps import Steps
from createos_engine.settings import Settings
from createos_engine.store.accounts import AccountStore
from createos_engine.store.checkpoints import CheckpointStore
from createos_engine.store.database import Database
from createos_engine.store.memberships import MembershipStore
from createos_engine.store.networks import NetworkStore
from createos_engine.store.sandboxes import SandboxStore
from createos_engine.wiring_goldens import make_starts
from createos_engine.words import NewSandbox, Sandbox, User
from createos_netconfig.addresses import Pool
from createos_netconfig.names import Instance

from tests.fakes.hypervisor import FakeHypervisor
from tests.fakes.machines import FILES, FakeMachines
from tests.fakes.members import FakeMembers
from tests.fakes.no_disks import NoDisks
from tests.fakes.rows import sandbox


@dataclass
class World:
    """What a test of the services acts on."""

    store: SandboxStore
    machines: FakeMachines
    sandboxes: Sandboxes
    progress: Progress
    background: Background
    locks: SandboxLocks
    user: User
    remains: Remains
    networks: Networks
    members: FakeMembers
    memberships: MembershipStore

    async def running(self, name: str = "demo-box") -> Sandbox:
        """Return a sandbox that was created."""
        return await self.sandboxes.create(self.user, NewSandbox(shape="s-1vcpu-256mb", name=name))


class _Drafts:
    """Every wish becomes the usual row under its own name."""

    def __init__(self) -> None:
        self._made = 0

    def draft(self, user: User, wanted: NewSandbox) -> tuple[Sandbox, Any]:
        self._made += 1
        row = sandbox(id=f"sb-{self._made}", user_id=user.id, name=wanted.name, slot=0, ip="")
        return row, type("Base", (), {"path": Path("/base.raw")})


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "engine.db")
    yield database
    database.close()


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> AsyncIterator[World]:
    settings = Settings(
        state_dir=tmp_path, boots_at_once=2, memory_reserve_mib=0, disk_reserve_mib=0, golden_budget_mib=0
    )
    pool = Pool(IPv4Network("10.77.0.0/16"), IPv6Network("fd77::/64"))
    network = Network(
        Instance("ab12"), pool, cast("Any", None), cast("Any", None), cast("Any", None), cast("Any", None)
    )
    store, machines, locks = SandboxStore(database), FakeMachines(), SandboxLocks()
    background, progress = Background(), Progress()
    progress.ready(FILES)
    members, memberships = FakeMembers(), MembershipStore(database)
    networks = Networks(
        NetworkStore(database), memberships, store, cast("Any", members), locks, background, most_per_user=3
    )
    paths = Paths(tmp_path, tmp_path)
    make_directories(paths)
    hypervisor = FakeHypervisor()
    snapshots, layers = Snapshots(paths, hypervisor, Steps()), Layers(Disks(), paths, Steps())
    remains = Remains(store, snapshots, layers, CheckpointStore(database))
    _, _, starts = make_starts(
        database,
        store,
        hypervisor,
        cast("Any", machines),
        network,
        snapshots,
        layers,
        remains,
        background,
        paths,
        settings,
        Steps(),
    )
    sandboxes = Sandboxes(
        store,
        cast("Any", machines),
        network,
        cast("Any", _Drafts()),
        networks,
        cast("Any", NoDisks()),
        locks,
        background,
        progress,
        settings,
        snapshots,
        remains,
        starts,
    )
    user = await AccountStore(database).by_uid(0, "root")
    yield World(store, machines, sandboxes, progress, background, locks, user, remains, networks, members, memberships)
    machines.refuse = ""
    machines.go.set()
    await background.close()
