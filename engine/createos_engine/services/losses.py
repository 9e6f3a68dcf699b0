"""What happens when a machine or its agent goes away without being asked to."""

from __future__ import annotations

import asyncio
import time

import structlog

from createos_engine.drivers.hypervisor import Hypervisor, Stopped
from createos_engine.errors import GuestFailed
from createos_engine.paths import Paths
from createos_engine.services.agents import Agents
from createos_engine.services.background import Background
from createos_engine.services.console import last_lines
from createos_engine.services.locks import SandboxLocks
from createos_engine.services.machines import Machines
from createos_engine.store.sandboxes import SandboxStore, StateChange
from createos_engine.words import Sandbox, State

log = structlog.get_logger(__name__)

RECONNECT_DEADLINE_S = 15.0
# A machine that ends takes its channel along; libvirt's word, which says why, comes a moment later.
GRACE_S = 1.0
# A guest that answers and then breaks the protocol, over and over, would be reconnected for ever.
MOST_LOSSES, LOSSES_WITHIN_S = 5, 300.0


class Losses:
    """Turns a loss into the state `error` with a reason, keeping the disk, or repairs it."""

    def __init__(
        self,
        store: SandboxStore,
        hypervisor: Hypervisor,
        machines: Machines,
        agents: Agents,
        locks: SandboxLocks,
        background: Background,
        paths: Paths,
        *,
        grace_s: float = GRACE_S,
        reconnect_s: float = RECONNECT_DEADLINE_S,
    ) -> None:
        self._store = store
        self._hypervisor = hypervisor
        self._machines = machines
        self._agents = agents
        self._locks = locks
        self._background = background
        self._paths = paths
        self._grace_s, self._reconnect_s = grace_s, reconnect_s
        self._lost_at: dict[str, list[float]] = {}

    def machine_stopped(self, stopped: Stopped) -> None:
        """A machine of ours ended by itself."""
        work = self.machine_gone(stopped.sandbox_id, f"its machine ended by itself ({stopped.reason})")
        self._background.start(f"lost {stopped.sandbox_id}", work)

    def agent_lost(self, sandbox_id: str, reason: str) -> None:
        """The connection to an agent broke, or the guest broke the protocol."""
        self._background.start(f"lost {sandbox_id}", self._reconnect(sandbox_id, reason))

    async def machine_gone(self, sandbox_id: str, reason: str) -> None:
        """Write down that a running sandbox has lost its machine; nothing happens when that is not so (any more)."""
        async with self._locks.hold(sandbox_id):
            sandbox = self._store.get(sandbox_id)
            if sandbox.state is State.RUNNING and not await self._has_machine(sandbox):
                await self._fail(sandbox, reason)

    async def _reconnect(self, sandbox_id: str, reason: str) -> None:
        """Connect again; a guest that does not answer, or is lost time and again, is ended: it is of no use."""
        await asyncio.sleep(self._grace_s)
        async with self._locks.hold(sandbox_id):
            sandbox = self._store.get(sandbox_id)
            if sandbox.state is not State.RUNNING or self._agents.connected(sandbox_id):
                return
            if not await self._has_machine(sandbox):
                await self._fail(sandbox, "its machine ended by itself")
                return
            if (times := self._count(sandbox_id)) > MOST_LOSSES:
                minutes = f"{LOSSES_WITHIN_S / 60:g} minutes"
                await self._fail(sandbox, f"its agent was lost {times} times within {minutes} (at last: {reason})")
                return
            try:
                await self._machines.adopt(sandbox, deadline_s=self._reconnect_s)
            except GuestFailed as exc:
                await self._fail(sandbox, f"its agent was lost ({reason}) and did not come back: {exc.reason}")

    def _count(self, sandbox_id: str) -> int:
        """Return how often an agent was lost of late, this time included."""
        now = time.monotonic()
        self._lost_at.setdefault(sandbox_id, []).append(now)
        late = {each: [at for at in times if now - at < LOSSES_WITHIN_S] for each, times in self._lost_at.items()}
        self._lost_at = {each: times for each, times in late.items() if times}
        return len(self._lost_at.get(sandbox_id, ()))

    async def _has_machine(self, sandbox: Sandbox) -> bool:
        return self._machines.name(sandbox.id) in await self._hypervisor.running()

    async def _fail(self, sandbox: Sandbox, reason: str) -> None:
        lines = last_lines(self._paths.sandbox(sandbox.id).console)
        said = f"; the console ends with: {' | '.join(lines)}" if lines else ""
        await self._store.move(sandbox.id, State.ERROR, StateChange(reason=f"{reason}{said}"))
        self._lost_at.pop(sandbox.id, None)
        log.warning("sandbox lost", sandbox=sandbox.id, reason=reason)
        await self._machines.remove(sandbox)
