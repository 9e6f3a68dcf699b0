"""The part of wiring.py that is about golden snapshots."""

from __future__ import annotations

from createos_engine.drivers.hypervisor import Hypervisor
from createos_engine.paths import Paths
from createos_engine.services.background import Background
from createos_engine.services.golden_builds import GoldenBuilds
from createos_engine.services.goldens import Goldens
from createos_engine.services.layers import Layers
from createos_engine.services.machines import Machines
from createos_engine.services.network import Network
from createos_engine.services.quiet import Quiet
from createos_engine.services.remains import Remains
from createos_engine.services.snapshots import Snapshots
from createos_engine.services.standbys import Standbys
from createos_engine.services.starts import Starts
from createos_engine.services.steps import Steps
from createos_engine.settings import Settings
from createos_engine.store.database import Database
from createos_engine.store.goldens import GoldenStore
from createos_engine.store.sandboxes import SandboxStore
from createos_engine.store.standbys import StandbyStore

# For so long nothing may have been started or stopped before something is made that nobody waits for.
_QUIET_S = 2.0


def make_starts(
    database: Database,
    sandboxes: SandboxStore,
    hypervisor: Hypervisor,
    machines: Machines,
    network: Network,
    snapshots: Snapshots,
    layers: Layers,
    remains: Remains,
    background: Background,
    paths: Paths,
    settings: Settings,
    steps: Steps,
) -> tuple[GoldenBuilds, Standbys, Starts]:
    """Return what builds golden snapshots, what keeps machines ready, and what starts sandboxes from both."""
    rows = GoldenStore(database)
    goldens = Goldens(rows, machines, network, snapshots, remains, paths, settings)
    quiet = Quiet(sandboxes, _QUIET_S)
    standbys = Standbys(StandbyStore(database), goldens, machines, layers, network, background, settings, quiet, steps)
    hypervisor.on_stopped(standbys.machine_stopped)
    builds = GoldenBuilds(
        *(goldens, rows, machines, network, snapshots, layers, background, settings, steps, quiet), built=standbys.wish
    )
    return builds, standbys, Starts(machines, layers, goldens, builds, standbys, background, settings, steps)
