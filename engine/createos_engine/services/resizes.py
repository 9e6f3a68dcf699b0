"""A larger root disk for a running sandbox: intent, disk, file system, manifest. What was cut off is completed."""

from __future__ import annotations

import structlog

from createos_engine.drivers.channel.disk import grow_file_system
from createos_engine.drivers.hypervisor import Hypervisor
from createos_engine.errors import EngineError, HostFailed
from createos_engine.services.admission import require_space
from createos_engine.services.agents import Agents
from createos_engine.services.locks import SandboxLocks
from createos_engine.services.machines import Machines
from createos_engine.settings import Settings
from createos_engine.store.resizes import ResizeStore
from createos_engine.store.sandboxes import SandboxStore
from createos_engine.words import Sandbox, State, User

log = structlog.get_logger(__name__)

_MIB = 2**20


class Resizes:
    """Grows disks. A disk never shrinks."""

    def __init__(
        self,
        store: ResizeStore,
        sandboxes: SandboxStore,
        hypervisor: Hypervisor,
        machines: Machines,
        agents: Agents,
        locks: SandboxLocks,
        settings: Settings,
    ) -> None:
        self._store = store
        self._sandboxes = sandboxes
        self._hypervisor = hypervisor
        self._machines = machines
        self._agents = agents
        self._locks = locks
        self._settings = settings

    async def resize(self, user: User, ref: str, disk_mib: int) -> Sandbox:
        """Return the sandbox with its larger disk.

        Raises Conflict unless it runs, Invalid unless the disk grows, Unavailable when the host has no room. When
        the guest cannot follow, GuestFailed says so: the disk has grown, and `complete` goes on trying.
        """
        sandbox_id = self._sandboxes.find(user.id, ref).id
        async with self._locks.hold(sandbox_id):
            before = self._sandboxes.get(sandbox_id)
            more = max(disk_mib - before.disk_mib, 0)
            require_space(self._settings.state_dir, self._settings.disk_reserve_mib + more)
            await self._store.begin(sandbox_id, disk_mib)
            sandbox = self._sandboxes.get(sandbox_id)
            try:
                await self._grow_disk(sandbox)
            except HostFailed:
                await self._store.undo(sandbox_id)
                raise
            await self._follow(sandbox)
        log.info("disk grown", sandbox=sandbox_id, from_mib=before.disk_mib, to_mib=disk_mib)
        return sandbox

    async def complete(self) -> None:
        """Carry on with what was cut off, in the sandboxes that run; what cannot be done now comes up again."""
        for sandbox_id in self._store.pending():
            try:
                await self._complete(sandbox_id)
            except EngineError as exc:
                log.warning("a disk could not grow", sandbox=sandbox_id, reason=exc.sentence, **exc.context)

    async def _complete(self, sandbox_id: str) -> None:
        async with self._locks.hold(sandbox_id):
            if not self._store.is_pending(sandbox_id):
                return
            sandbox = self._sandboxes.get(sandbox_id)
            if sandbox.state is State.RUNNING and self._agents.connected(sandbox_id):
                await self._grow_disk(sandbox)
                await self._follow(sandbox)

    async def _grow_disk(self, sandbox: Sandbox) -> None:
        await self._hypervisor.grow_disk(self._machines.name(sandbox.id), sandbox.disk_mib)

    async def _follow(self, sandbox: Sandbox) -> None:
        """Let the guest and the manifest follow the disk."""
        await grow_file_system(self._agents.get(sandbox.id), sandbox.disk_mib * _MIB)
        self._machines.record(sandbox)
        await self._store.done(sandbox.id)
