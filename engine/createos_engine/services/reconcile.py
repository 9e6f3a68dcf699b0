"""Make the host match the database: on start, when libvirt comes back, and now and again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime, timedelta

import structlog

from createos_engine.drivers.hypervisor import Hypervisor
from createos_engine.errors import EngineError
from createos_engine.lifecycle import TERMINAL
from createos_engine.paths import Paths
from createos_engine.services.agents import Agents
from createos_engine.services.console import trim
from createos_engine.services.locks import SandboxLocks
from createos_engine.services.losses import RECONNECT_DEADLINE_S, Losses
from createos_engine.services.machines import Machines
from createos_engine.services.network import Network
from createos_engine.services.networks import Networks
from createos_engine.services.plan import WITHOUT_MACHINE, HostFacts, Plan, plan
from createos_engine.services.remains import Remains
from createos_engine.services.sandboxes import Sandboxes
from createos_engine.store.sandboxes import SandboxStore, StateChange
from createos_engine.words import State

log = structlog.get_logger(__name__)


Recover = Callable[[str], Coroutine[None, None, None]]


class Reconciler:
    """Carries out plans. Doing it twice gives the same result. `recover` ends or undoes what is half done in a state.

    `guests` names machines that are no sandboxes and yet wanted.

    The world moves on between looking and acting: every action looks again, under the sandbox's lock where it has one.
    """

    def __init__(
        self,
        store: SandboxStore,
        hypervisor: Hypervisor,
        network: Network,
        machines: Machines,
        agents: Agents,
        sandboxes: Sandboxes,
        networks: Networks,
        losses: Losses,
        locks: SandboxLocks,
        paths: Paths,
        recover: Mapping[State, Recover],
        remains: Remains,
        guests: Callable[[], frozenset[str]],
        keep_destroyed: timedelta,
    ) -> None:
        self._store = store
        self._hypervisor = hypervisor
        self._network = network
        self._machines = machines
        self._agents = agents
        self._sandboxes = sandboxes
        self._networks = networks
        self._losses = losses
        self._locks = locks
        self._paths = paths
        self._keep_destroyed = keep_destroyed
        self._remains = remains
        self._guests = guests
        self._recover = {**recover, State.CREATING: self._roll_back}

    async def run(self) -> Plan:
        """Compare and repair once. What cannot be repaired now is logged and comes up again in the next run."""
        todo = await self._plan()
        await asyncio.gather(*(self._attempt(f"adopt {row.id}", self._adopt(row.id)) for row in todo.adopt))
        for row in todo.lost:
            await self._attempt(f"lost {row.id}", self._losses.machine_gone(row.id, "its machine is gone"))
        for row in todo.unfinished:
            await self._attempt(f"unfinished {row.id}", self._recover[row.state](row.id))
        for row in todo.destroy:
            await self._attempt(f"destroy {row.id}", self._sandboxes.tear_down(row))
        for name in todo.orphan_machines:
            await self._attempt(f"orphan machine {name}", self._end_orphan(name))
        for slot in todo.orphan_slots:
            await self._attempt(f"orphan link {slot}", self._disconnect_orphan(slot))
        for sandbox_id in todo.leftover_directories:
            await self._attempt(f"leftover directory {sandbox_id}", self._machines.erase(sandbox_id))
        for name in todo.unknown_directories:
            log.warning("a directory belongs to no sandbox; it is left alone", path=str(self._paths.sandboxes / name))
        await self._attempt("private networks", self._networks.reconcile())
        for row in self._store.in_states({State.RUNNING}):
            if trim(self._paths.sandbox(row.id).console):
                log.info("console log cut short", sandbox=row.id)
        await self._remains.sweep(self._locks.busy())
        await self._store.forget(ended_before=datetime.now(UTC) - self._keep_destroyed)
        return todo

    async def _plan(self) -> Plan:
        host = HostFacts(
            machines=await self._hypervisor.running(),
            slots=await self._network.connected(),
            directories=frozenset(entry.name for entry in self._paths.sandboxes.iterdir()),
        )
        rows = self._store.in_states(frozenset(State))
        connected = frozenset(row.id for row in rows if self._agents.connected(row.id))
        busy, owned = self._locks.busy(), self._store.slots_in_use()
        return plan(rows, host, connected=connected, busy=busy, guests=self._guests(), owned=owned)

    async def _attempt(self, what: str, action: Coroutine[None, None, None]) -> None:
        try:
            await action
            log.info("reconciled", action=what)
        except EngineError as exc:
            log.warning("could not be reconciled", action=what, reason=exc.sentence, **exc.context)

    async def _adopt(self, sandbox_id: str) -> None:
        async with self._locks.hold(sandbox_id):
            sandbox = self._store.get(sandbox_id)
            if sandbox.state is State.RUNNING and not self._agents.connected(sandbox_id):
                await self._machines.adopt(sandbox, deadline_s=RECONNECT_DEADLINE_S)

    async def _roll_back(self, sandbox_id: str) -> None:
        """Undo a create that a dead daemon left half done."""
        async with self._locks.hold(sandbox_id):
            sandbox = self._store.get(sandbox_id)
            if sandbox.state is not State.CREATING:
                return
            await self._machines.remove(sandbox)
            await self._machines.erase(sandbox_id)
            reason = "createosd was stopped while the sandbox was being created"
            await self._store.move(sandbox_id, State.FAILED, StateChange(reason=reason, destroyed_at=datetime.now(UTC)))

    async def _end_orphan(self, name: str) -> None:
        owner = (await self._hypervisor.running()).get(name, "")
        if owner not in self._guests() and self._store.state(owner) in (None, *WITHOUT_MACHINE, *TERMINAL):
            await self._hypervisor.destroy(name)

    async def _disconnect_orphan(self, slot: int) -> None:
        if slot not in self._store.slots_in_use():
            await self._network.disconnect(slot)
