"""One engine's golden snapshots over a real store and real files, with machines that are none."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, cast

from createos_engine.instance import make_directories
from createos_engine.paths import Paths
from createos_engine.services.background import Background
from createos_engine.services.golden_builds import GoldenBuilds
from createos_engine.services.goldens import Goldens
from createos_engine.services.layers import Layers
from createos_engine.services.network import Network
from createos_engine.services.quiet import Quiet
from createos_engine.services.remains import Remains
from createos_engine.services.snapshots import Snapshots
from createos_engine.services.standbys import Standbys
from createos_engine.services.starts import Starts
from createos_engine.services.steps import Step, Steps
from createos_engine.settings import Settings
from createos_engine.store.checkpoints import CheckpointStore
from createos_engine.store.database import Database
from createos_engine.store.goldens import GoldenStore
from createos_engine.store.sandboxes import SandboxStore
from createos_engine.store.standbys import StandbyStore
from createos_engine.words import Sandbox
from createos_netconfig.addresses import Pool
from createos_netconfig.names import Instance

from tests.fakes.golden_machines import FakeDisks, FakeGoldenMachines
from tests.fakes.hypervisor import FakeHypervisor
from tests.fakes.machines import FILES
from tests.fakes.rows import sandbox

BASE = Path("/base.raw")


class Copying(Steps):
    """Keeps the state directory as it is at one step, which is what a daemon leaves that is killed there."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self.at: Step | None = None
        self.copy = state / "killed"

    def reach(self, step: Step) -> None:
        """Copy everything at the chosen step."""
        if step is self.at:
            shutil.copytree(self._state, self.copy, ignore=shutil.ignore_patterns(self.copy.name))


@dataclass
class World:
    """One engine's golden snapshots."""

    database: Database
    paths: Paths
    settings: Settings
    background: Background
    machines: FakeGoldenMachines
    hypervisor: FakeHypervisor
    steps: Copying
    rows: GoldenStore
    store: SandboxStore
    snapshots: Snapshots
    goldens: Goldens
    builds: GoldenBuilds
    starts: Starts
    standbys: Standbys

    async def create(self, **columns: Any) -> Sandbox:
        """Start a sandbox and wait until what that has set going is over."""
        machines = self.machines
        number = len(machines.booted) + len(machines.restored) + len(machines.taken_over)
        draft = sandbox(id=f"sb-{number}", **columns)
        row = await self.starts.claim(draft, FILES)
        await self.starts.start(row, BASE, FILES)
        await self.settled()
        return row

    async def settled(self) -> None:
        """Wait for everything in the background."""
        for _ in range(2):
            await self.background.drain("golden", 10)
            await self.background.drain("machines that stand by", 10)

    def files(self) -> set[str]:
        """Return the files and directories that golden snapshots have."""
        parents = (self.paths.snapshots, self.paths.goldens, self.paths.layers)
        return {entry.name for parent in parents for entry in parent.iterdir()}


def assemble(tmp_path: Path, database: Database, budget_mib: int = 1024, standbys_kept: int = 0) -> World:
    settings = Settings(
        state_dir=tmp_path,
        memory_reserve_mib=0,
        disk_reserve_mib=0,
        golden_budget_mib=budget_mib,
        standbys=standbys_kept,
    )
    paths = Paths(tmp_path, tmp_path)
    make_directories(paths)
    pool = Pool(IPv4Network("10.77.0.0/16"), IPv6Network("fd77::/64"))
    nothing = cast("Any", None)
    network = Network(Instance("ab12"), pool, nothing, nothing, nothing, nothing)
    background, steps, hypervisor = Background(), Copying(tmp_path), FakeHypervisor()
    machines, rows, store = FakeGoldenMachines(paths), GoldenStore(database), SandboxStore(database)
    snapshots, layers = Snapshots(paths, hypervisor, steps), Layers(cast("Any", FakeDisks()), paths, steps)
    remains = Remains(store, snapshots, layers, CheckpointStore(database))
    goldens = Goldens(rows, cast("Any", machines), network, snapshots, remains, paths, settings)
    quiet = Quiet(store, 0.01)
    standbys = Standbys(
        StandbyStore(database), goldens, cast("Any", machines), layers, network, background, settings, quiet, steps
    )
    builds = GoldenBuilds(
        goldens,
        rows,
        cast("Any", machines),
        network,
        snapshots,
        layers,
        background,
        settings,
        steps,
        quiet,
        built=standbys.wish,
    )
    starts = Starts(cast("Any", machines), layers, goldens, builds, standbys, background, settings, steps)
    return World(
        database,
        paths,
        settings,
        background,
        machines,
        hypervisor,
        steps,
        rows,
        store,
        snapshots,
        goldens,
        builds,
        starts,
        standbys,
    )
