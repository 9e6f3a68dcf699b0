"""Resume: the saved memory goes on where it stopped, on a disk that is as it was then.

The disk that belongs to the memory is frozen first. Whatever happens until the sandbox runs, memory and disk are there
as a pair, and a resume can be tried again; only with the state `running` they are given up, in the same commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime

import structlog

from createos_engine.drivers.hypervisor import UnusableImage
from createos_engine.errors import Conflict, EngineError, Unavailable
from createos_engine.services.admission import available_memory_mib, require_memory, require_space
from createos_engine.services.background import Background
from createos_engine.services.layers import Layers
from createos_engine.services.locks import SandboxLocks
from createos_engine.services.machines import Machines
from createos_engine.services.manifests import Snapshot
from createos_engine.services.progress import BootFiles, Progress
from createos_engine.services.remains import Remains
from createos_engine.services.snapshots import Snapshots
from createos_engine.services.steps import Step, Steps
from createos_engine.settings import Settings
from createos_engine.store.sandboxes import SandboxStore, StateChange
from createos_engine.words import Sandbox, State, User

log = structlog.get_logger(__name__)

_BEGINS = frozenset({State.PAUSED, State.ERROR})
_COMING = frozenset({State.CREATING, State.RESUMING, State.FORKING})


class Resumes:
    """Starts what was paused, and what ended in an error."""

    def __init__(
        self,
        store: SandboxStore,
        machines: Machines,
        snapshots: Snapshots,
        layers: Layers,
        remains: Remains,
        locks: SandboxLocks,
        background: Background,
        progress: Progress,
        settings: Settings,
        steps: Steps,
        make_room: Callable[[], Awaitable[bool]],
    ) -> None:
        """*make_room* gives up memory that nobody uses yet, and tells whether there was any."""
        self._store = store
        self._machines = machines
        self._snapshots = snapshots
        self._layers = layers
        self._remains = remains
        self._locks = locks
        self._background = background
        self._progress = progress
        self._settings = settings
        self._steps = steps
        self._make_room = make_room
        self._turns = asyncio.Semaphore(settings.boots_at_once)

    async def resume(self, user: User, ref: str, *, cold: bool = False) -> Sandbox:
        """Begin to resume and return the sandbox as `resuming`; one that runs is returned as it is.

        *cold* boots the disk and gives up the memory. Without a memory image that is the only way there is.
        """
        sandbox = self._store.find(user.id, ref)
        if sandbox.state is State.RUNNING:
            return sandbox
        return await self.begin(sandbox, cold=cold)

    async def begin(self, sandbox: Sandbox, *, cold: bool = False) -> Sandbox:
        """Begin to resume a sandbox, whoever owns it; Conflict, or Unavailable when there is no room for it."""
        if sandbox.state not in _BEGINS | {State.FORKING}:
            raise Conflict(f"sandbox is {sandbox.state}", hint="only a paused sandbox, or one in error, can be resumed")
        files = self._progress.require_ready()
        await self.admit(sandbox)
        has_memory = True if sandbox.state is State.FORKING else None
        with self._locks.beginning(sandbox.id) as work:
            sandbox = await self._store.move(sandbox.id, State.RESUMING, StateChange(reason="", has_memory=has_memory))
            work.append(self._background.start(f"resume {sandbox.id}", self._work(sandbox, files, cold=cold)))
        return sandbox

    async def admit(self, sandbox: Sandbox) -> None:
        """Raise Unavailable unless the host has room for the machine, or can make it."""
        try:
            self._admit(sandbox)
        except Unavailable:
            if not await self._make_room():
                raise
            self._admit(sandbox)

    def _admit(self, sandbox: Sandbox) -> None:
        promised = sum(row.mem_mib for row in self._store.in_states(_COMING) if row.id != sandbox.id)
        reserve = self._settings.memory_reserve_mib
        free = available_memory_mib()
        require_memory(sandbox.mem_mib, promised_mib=promised, reserve_mib=reserve, available_mib=free)
        require_space(self._settings.state_dir, self._settings.disk_reserve_mib)

    async def _work(self, sandbox: Sandbox, files: BootFiles, *, cold: bool) -> None:
        async with self._locks.hold(sandbox.id):
            if self._store.state(sandbox.id) is not State.RESUMING:
                return
            self._steps.reach(Step.RESUME_INTENDED)
            try:
                async with self._turns:
                    change = await (self._boot if cold or not sandbox.has_memory else self._restore)(sandbox, files)
            except EngineError as exc:
                await self._give_up(sandbox, exc)
                raise
            self._steps.reach(Step.RESUME_RESTORED)
            await self._run(sandbox, change)
        await self._remains.collect()

    async def _restore(self, sandbox: Sandbox, files: BootFiles) -> StateChange:
        snapshot = self._snapshots.open(sandbox.id)
        snapshot.require(await self._snapshots.needs(sandbox, files.accelerator))
        snapshot = await self._frozen(sandbox, snapshot)
        self._steps.reach(Step.RESUME_FROZEN)
        receipt = await self._machines.restore(
            sandbox, snapshot.memory, snapshot.origin, files, deadline_s=self._settings.boot_deadline_s
        )
        return StateChange(receipt=receipt or None)

    async def _frozen(self, sandbox: Sandbox, snapshot: Snapshot) -> Snapshot:
        """Return the snapshot with its disk frozen, and the sandbox on an empty one on top of it."""
        if not snapshot.layer:
            return self._snapshots.set_layer(snapshot, await self._layers.freeze(sandbox.id))
        await self._layers.start_over(sandbox.id, snapshot.layer)
        return snapshot

    async def _boot(self, sandbox: Sandbox, files: BootFiles) -> StateChange:
        """Boot the disk; a memory image that is still there stays a pair with its disk until that has worked."""
        if sandbox.has_memory:
            with suppress(UnusableImage):
                await self._frozen(sandbox, self._snapshots.open(sandbox.id))
        await self._machines.boot_disk(sandbox, files, deadline_s=self._settings.boot_deadline_s)
        return StateChange()

    async def _run(self, sandbox: Sandbox, change: StateChange) -> None:
        now = datetime.now(UTC)
        said = StateChange(
            running_at=now if sandbox.running_at is None else None,
            last_resumed_at=now,
            has_memory=False,
            auto_paused=False,
            receipt=change.receipt,
        )
        try:
            await self._store.move(sandbox.id, State.RUNNING, said)
        except Conflict:  # it is being destroyed meanwhile
            return
        log.info("sandbox resumed", sandbox=sandbox.id)
        self._steps.reach(Step.RESUME_RUNNING)
        # The kernel takes 20 ms for a file of 80 MiB, and the first program is on its way.
        await asyncio.to_thread(self._snapshots.remove, sandbox.id)
        self._steps.reach(Step.RESUME_DONE)

    async def _give_up(self, sandbox: Sandbox, exc: EngineError) -> None:
        """Write down why; memory and disk are as they were, so that another resume may be tried."""
        log.warning("sandbox not resumed", sandbox=sandbox.id, reason=exc.reason)
        await self._put_back(sandbox)
        with suppress(Conflict):
            await self._store.move(sandbox.id, State.ERROR, StateChange(reason=f"resume failed: {exc.sentence}"))

    async def _put_back(self, sandbox: Sandbox) -> None:
        """Drop what was written since the disk was frozen: it belongs to no memory image."""
        if sandbox.has_memory:
            with suppress(UnusableImage):
                if layer := self._snapshots.open(sandbox.id).layer:
                    await self._layers.start_over(sandbox.id, layer)

    async def recover(self, sandbox_id: str) -> None:
        """Undo a resume that a dead daemon left half done."""
        async with self._locks.hold(sandbox_id):
            sandbox = self._store.get(sandbox_id)
            if sandbox.state is not State.RESUMING:
                return
            await self._machines.remove(sandbox)
            await self._put_back(sandbox)
            if sandbox.has_memory:
                await self._store.move(sandbox_id, State.PAUSED)
            else:
                reason = "createosd was stopped while it was being resumed; resume it again"
                await self._store.move(sandbox_id, State.ERROR, StateChange(reason=reason))
