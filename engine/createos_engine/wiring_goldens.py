"""The part of wiring.py that is about golden snapshots."""

from __future__ import annotations

from createos_engine.paths import Paths
from createos_engine.services.background import Background
from createos_engine.services.golden_builds import GoldenBuilds
from createos_engine.services.goldens import Goldens
from createos_engine.services.layers import Layers
from createos_engine.services.machines import Machines
from createos_engine.services.network import Network
from createos_engine.services.remains import Remains
from createos_engine.services.snapshots import Snapshots
from createos_engine.services.starts import Starts
from createos_engine.services.steps import Steps
from createos_engine.settings import Settings
from createos_engine.store.database import Database
from createos_engine.store.goldens import GoldenStore
from createos_engine.store.sandboxes import SandboxStore


def make_starts(
    database: Database,
    sandboxes: SandboxStore,
    machines: Machines,
    network: Network,
    snapshots: Snapshots,
    layers: Layers,
    remains: Remains,
    background: Background,
    paths: Paths,
    settings: Settings,
    steps: Steps,
) -> tuple[GoldenBuilds, Starts]:
    """Return what builds golden snapshots, and what starts sandboxes from them."""
    rows = GoldenStore(database)
    goldens = Goldens(rows, machines, network, snapshots, remains, paths, settings)
    builds = GoldenBuilds(goldens, rows, sandboxes, machines, network, snapshots, layers, background, settings, steps)
    return builds, Starts(machines, layers, goldens, builds, background, settings, steps)
