"""Pause: memory and disk become durable files and the machine is gone; a pause that fails leaves it running."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime

import structlog

from createos_engine.errors import Conflict, EngineError
from createos_engine.services.admission import QEMU_OVERHEAD_MIB, require_space, shortage
from createos_engine.services.background import Background
from createos_engine.services.layers import DEEPEST_CHAIN, Layers
from createos_engine.services.locks import SandboxLocks
from createos_engine.services.losses import RECONNECT_DEADLINE_S
from createos_engine.services.machines import Machines
from createos_engine.services.manifests import Origin
from createos_engine.services.mounts import Mounts
from createos_engine.services.network import Network
from createos_engine.services.progress import Progress
from createos_engine.services.snapshots import Snapshots
from createos_engine.services.steps import Step, Steps
from createos_engine.services.stopwatch import Stopwatch
from createos_engine.settings import Settings
from createos_engine.store.sandboxes import SandboxStore, StateChange
from createos_engine.words import Sandbox, State, User

log = structlog.get_logger(__name__)


class Pauses:
    """Stops machines so that they can go on another day."""

    def __init__(
        self,
        store: SandboxStore,
        machines: Machines,
        mounts: Mounts,
        network: Network,
        snapshots: Snapshots,
        layers: Layers,
        locks: SandboxLocks,
        background: Background,
        progress: Progress,
        settings: Settings,
        steps: Steps,
    ) -> None:
        self._store = store
        self._machines = machines
        self._mounts = mounts
        self._network = network
        self._snapshots = snapshots
        self._layers = layers
        self._locks = locks
        self._background = background
        self._progress = progress
        self._settings = settings
        self._steps = steps

    async def pause(self, user: User, ref: str) -> Sandbox:
        """Begin to pause a running sandbox and return it as `pausing`; one that is paused is returned as it is."""
        sandbox = self._store.find(user.id, ref)
        if sandbox.state is State.PAUSED:
            return sandbox
        return await self.begin(sandbox)

    async def begin(self, sandbox: Sandbox, *, auto: bool = False) -> Sandbox:
        """Begin to pause a sandbox, whoever owns it; Conflict unless it runs."""
        if sandbox.state is not State.RUNNING:
            raise Conflict(f"sandbox is {sandbox.state}", hint="only a running sandbox can be paused")
        require_space(self._settings.state_dir, self._settings.disk_reserve_mib)
        self._progress.require_ready()
        with self._locks.beginning(sandbox.id) as work:
            sandbox = await self._store.move(sandbox.id, State.PAUSING, StateChange(auto_paused=auto, reason=""))
            work.append(self._background.start(f"pause {sandbox.id}", self._work(sandbox)))
        return sandbox

    async def _work(self, sandbox: Sandbox) -> None:
        async with self._locks.hold(sandbox.id):
            if self._store.state(sandbox.id) is not State.PAUSING:
                return
            self._steps.reach(Step.PAUSE_INTENDED)
            lacking = shortage(self._snapshots.directory, sandbox.mem_mib + QEMU_OVERHEAD_MIB)
            try:
                to = self._snapshots.begin(sandbox.id, sandbox.mem_mib)
                self._steps.reach(Step.PAUSE_PREPARED)
                await self._mounts.hold(sandbox.id)
                await self._machines.save(sandbox, to)
            except EngineError as exc:
                hint = "remove sandboxes, or see createosd df and createosd prune, and pause it again"
                await self._settle(sandbox, f"{exc.reason}: {lacking}; {hint}" if lacking else exc.reason)
                raise
            self._steps.reach(Step.PAUSE_SAVED)
            await self._finish(sandbox)
        await self.tidy(sandbox.id)

    async def _finish(self, sandbox: Sandbox) -> None:
        """Make the saved memory a snapshot; the machine is gone. Reconcile repeats this until it has worked."""
        files = self._progress.require_files()
        needs = await self._snapshots.needs(sandbox, files.accelerator)
        origin = Origin(sandbox.id, self._network.endpoint(sandbox.slot).mac)
        watch, now = Stopwatch(), datetime.now(UTC)
        facts = {"kernel": str(files.kernel), "initramfs": str(files.initramfs), "made_at": now.isoformat()}
        # Neither needs the other, and both can be done again.
        removing = asyncio.ensure_future(self._machines.remove(sandbox))
        try:
            await self._snapshots.publish(sandbox.id, origin, needs, facts)
            watch.lap("snapshot")
            self._steps.reach(Step.PAUSE_PUBLISHED)
        finally:
            await removing
        watch.lap("removal")
        self._steps.reach(Step.PAUSE_UNPLUGGED)
        with suppress(Conflict):  # it is being destroyed meanwhile
            await self._store.move(sandbox.id, State.PAUSED, StateChange(paused_at=now, has_memory=True))
            log.info("sandbox paused", sandbox=sandbox.id, **watch.laps)
        self._steps.reach(Step.PAUSE_DONE)

    async def _settle(self, sandbox: Sandbox, reason: str) -> None:
        """End a pause that went wrong: a machine that lives goes on, a memory that was saved whole is kept.

        What was written is thrown away only once the machine is known to go on without it.
        """
        log.warning("pause went wrong", sandbox=sandbox.id, reason=reason)
        if await self._machines.running(sandbox.id):
            await self._machines.go_on(sandbox, deadline_s=RECONNECT_DEADLINE_S)
            self._snapshots.discard_partial(sandbox.id)
            said = StateChange(reason=f"it could not be paused: {reason}", auto_paused=False)
            with suppress(Conflict):
                await self._store.move(sandbox.id, State.RUNNING, said)
        elif self._snapshots.saved(sandbox.id):
            await self._finish(sandbox)
        else:
            self._snapshots.discard_partial(sandbox.id)
            await self._machines.remove(sandbox)
            said = StateChange(reason=f"its machine ended while it was being paused: {reason}")
            with suppress(Conflict):
                await self._store.move(sandbox.id, State.ERROR, said)

    async def recover(self, sandbox_id: str) -> None:
        """Finish a pause that a dead daemon left half done, or undo it: nothing that was saved whole is lost."""
        async with self._locks.hold(sandbox_id):
            sandbox = self._store.get(sandbox_id)
            if sandbox.state is State.PAUSING:
                await self._settle(sandbox, "createosd was stopped meanwhile")

    async def tidy(self, sandbox_id: str) -> None:
        """Flatten the disk of a paused sandbox when the chain below it is long."""
        async with self._locks.hold(sandbox_id):
            sandbox = self._store.get(sandbox_id)
            if sandbox.state is not State.PAUSED or self._layers.depth(sandbox_id) <= DEEPEST_CHAIN:
                return
            if self._snapshots.open(sandbox_id).layer:
                return
            await self._layers.flatten(sandbox_id)
