"""How a new sandbox gets its machine: one that stands by, else forked from a golden snapshot that fits, else booted."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from createos_engine.errors import EngineError
from createos_engine.golden_words import Golden
from createos_engine.services.background import Background
from createos_engine.services.golden_builds import GoldenBuilds
from createos_engine.services.goldens import Goldens
from createos_engine.services.layers import Layers
from createos_engine.services.machines import Machines
from createos_engine.services.manifests import Snapshot
from createos_engine.services.progress import BootFiles
from createos_engine.services.standbys import Standbys
from createos_engine.services.steps import Step, Steps
from createos_engine.settings import Settings
from createos_engine.words import Sandbox

log = structlog.get_logger(__name__)


class Starts:
    """Starts machines for the first time. Nothing is left of one that fails."""

    def __init__(
        self,
        machines: Machines,
        layers: Layers,
        goldens: Goldens,
        builds: GoldenBuilds,
        standbys: Standbys,
        background: Background,
        settings: Settings,
        steps: Steps,
    ) -> None:
        self._machines = machines
        self._layers = layers
        self._goldens = goldens
        self._builds = builds
        self._standbys = standbys
        self._background = background
        self._deadline_s = settings.boot_deadline_s
        self._steps = steps

    async def start(self, sandbox: Sandbox, base: Path, files: BootFiles, *, cold: bool = False) -> None:
        """Start a sandbox; *cold* boots it whatever there is. Raises HostFailed or GuestFailed with all that is known.

        A golden snapshot that does not work is dropped, and the sandbox boots.
        """
        if cold:
            await self._boot(sandbox, base, files)
        elif await self._standbys.start(sandbox, files) or await self._forked(sandbox, files):
            self._standbys.wish(sandbox, files)
        else:
            await self._boot(sandbox, base, files)
            self._background.start("golden wish", self._builds.wish(sandbox, base, files))

    async def claim(self, draft: Sandbox, files: BootFiles) -> Sandbox:
        """Return a draft under the id of a machine that stands by for it, or as it is.

        `start` follows, or `release` when there is no row, or `abandon` when there is one.
        """
        return await self._standbys.claim(draft, files)

    def release(self, sandbox_id: str) -> None:
        """Give a claimed machine back."""
        self._standbys.release(sandbox_id)

    async def abandon(self, sandbox: Sandbox) -> None:
        """End the machine that a sandbox has claimed and will not take over any more."""
        await self._standbys.abandon(sandbox)

    async def make_room(self) -> bool:
        """Give up memory that nobody uses yet, and tell whether there was any."""
        return await self._standbys.make_room()

    async def _boot(self, sandbox: Sandbox, base: Path, files: BootFiles) -> None:
        await self._machines.boot(sandbox, base, files, deadline_s=self._deadline_s)

    async def _forked(self, sandbox: Sandbox, files: BootFiles) -> bool:
        try:
            found = await self._goldens.find(sandbox, files)
        except EngineError as exc:
            log.warning("golden snapshots cannot be used", reason=exc.sentence)
            return False
        if found is None:
            return False
        golden, snapshot = found
        self._goldens.in_use.append(golden.id)
        try:
            await self._fork(sandbox, golden, snapshot, files)
        except EngineError as exc:
            await self._goldens.drop(golden.id, exc.reason)
            return False
        finally:
            self._goldens.in_use.remove(golden.id)
        self._background.start(f"golden {golden.id}", self._goldens.used(golden.id))
        return True

    async def _fork(self, sandbox: Sandbox, golden: Golden, snapshot: Snapshot, files: BootFiles) -> None:
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self._machines.erase, sandbox.id)
            self._machines.make_directory(sandbox)
            await self._layers.start_over(sandbox.id, snapshot.layer)
            self._steps.reach(Step.GOLDEN_DISK)
            await self._machines.restore(sandbox, snapshot.memory, snapshot.origin, files, deadline_s=self._deadline_s)
            undo.push_async_callback(self._machines.remove, sandbox)
            await self._machines.require_networks(sandbox)
            if sandbox.disk_mib > golden.disk_mib:
                await self._machines.grow_disk(sandbox)
            undo.pop_all()
