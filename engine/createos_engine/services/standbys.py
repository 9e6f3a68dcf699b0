"""Machines that stand by: forked from a golden snapshot beforehand, halted, and taken over by the next create.

What a fork costs is paid before anybody waits: QEMU has started and read the memory, and has translated what a guest
does first. One is nobody's until a create takes it over; then it gets its identity as every fork does, behind a closed
link. It has the id and the slot of the sandbox that it will be, so that nothing of it changes its name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import structlog

from createos_engine.drivers.hypervisor import Stopped
from createos_engine.errors import EngineError
from createos_engine.golden_words import Golden
from createos_engine.services.admission import available_memory_mib, require_memory, require_space
from createos_engine.services.background import Background
from createos_engine.services.blueprints import nobody
from createos_engine.services.goldens import Goldens
from createos_engine.services.layers import Layers
from createos_engine.services.machines import Machines
from createos_engine.services.manifests import Snapshot
from createos_engine.services.naming import sandbox_id
from createos_engine.services.network import Network
from createos_engine.services.progress import BootFiles
from createos_engine.services.quiet import Quiet
from createos_engine.services.steps import Step, Steps
from createos_engine.settings import Settings
from createos_engine.standby_words import Standby
from createos_engine.store.standbys import StandbyStore
from createos_engine.words import Sandbox

log = structlog.get_logger(__name__)

# One that nobody has wanted for so long is ended: it holds memory.
_KEPT_FOR = timedelta(minutes=30)


@dataclass(frozen=True)
class _Wish:
    """A create that a machine standing by would have served."""

    sandbox: Sandbox
    files: BootFiles


class Standbys:
    """Keeps at most `settings.standbys` machines ready. Nothing here can make a create fail."""

    def __init__(
        self,
        store: StandbyStore,
        goldens: Goldens,
        machines: Machines,
        layers: Layers,
        network: Network,
        background: Background,
        settings: Settings,
        quiet: Quiet,
        steps: Steps,
    ) -> None:
        self._store = store
        self._goldens = goldens
        self._machines = machines
        self._layers = layers
        self._network = network
        self._background = background
        self._settings = settings
        self._quiet = quiet
        self._steps = steps
        self._ready: dict[str, Standby] = {}
        self._claimed: dict[str, Standby] = {}
        self._wishes: dict[str, _Wish] = {}
        self._making = ""
        self._work: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def guests(self) -> frozenset[str]:
        """The ids of machines that are no sandboxes and yet wanted."""
        return frozenset({*self._ready, *self._claimed, self._making} - {""})

    async def claim(self, draft: Sandbox, files: BootFiles) -> Sandbox:
        """Return a draft under the id of a machine that fits it, which waits for nobody else then; else as it is."""
        if not self._ready:
            return draft
        try:
            key = await self._goldens.key(draft, files)
        except EngineError:
            return draft
        for standby in self._ready.values():
            if standby.key == key and standby.disk_mib <= draft.disk_mib:
                self._claimed[standby.id] = self._ready.pop(standby.id)
                return replace(draft, id=standby.id)
        return draft

    def release(self, sandbox_id: str) -> None:
        """Let a machine wait for somebody else when there was no create after all."""
        if standby := self._claimed.pop(sandbox_id, None):
            self._ready[sandbox_id] = standby

    async def abandon(self, sandbox: Sandbox) -> None:
        """End the machine that a sandbox has claimed and will not take over; reconcile ends what is left then."""
        if standby := self._claimed.pop(sandbox.id, None):
            await self._attempt(self._machines.remove(sandbox), standby)
            await self._attempt(self._machines.erase(sandbox.id), standby)

    async def start(self, sandbox: Sandbox, files: BootFiles) -> bool:
        """Start a new sandbox as the machine that it has claimed; False, with nothing left of that, when it has none.

        One that does not work is ended.
        """
        standby = self._claimed.pop(sandbox.id, None)
        if standby is None:
            return False
        try:
            await self._take_over(sandbox, standby, files)
        except EngineError as exc:
            log.warning("a machine that stood by was of no use", sandbox=sandbox.id, reason=exc.reason)
            return False
        self._background.start(f"golden {standby.golden_id}", self._goldens.used(standby.golden_id))
        return True

    async def _take_over(self, sandbox: Sandbox, standby: Standby, files: BootFiles) -> None:
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self._machines.erase, sandbox.id)
            undo.push_async_callback(self._machines.remove, sandbox)
            self._machines.record(sandbox)
            self._steps.reach(Step.STANDBY_TAKEN)
            await self._machines.take_over(sandbox, files, deadline_s=self._settings.boot_deadline_s)
            await self._machines.require_networks(sandbox)
            if sandbox.disk_mib > standby.disk_mib:
                await self._machines.grow_disk(sandbox)
            undo.pop_all()

    def wish(self, sandbox: Sandbox, files: BootFiles) -> None:
        """Remember what a create wanted: a machine for the next one like it is made when there is time."""
        if self._closed or not self._settings.standbys:
            return
        self._wishes[sandbox.base_digest + sandbox.shape] = _Wish(sandbox, files)
        if self._work is None or self._work.done():
            self._work = self._background.start("machines that stand by", self._fulfil())

    async def _fulfil(self) -> None:
        while self._wishes:
            await self._quiet.wait()
            _, wish = self._wishes.popitem()
            try:
                await self._consider(wish)
            except EngineError as exc:
                log.info("no machine stands by", image=wish.sandbox.rootfs, reason=exc.sentence)
            finally:
                self._making = ""

    async def _consider(self, wish: _Wish) -> None:
        """Make a machine for what was wanted last, in the place of the one that waits for longest if need be."""
        found = await self._goldens.find(wish.sandbox, wish.files)
        if found is None or any(standby.key == found[0].key for standby in self._ready.values()):
            return
        while len(self._ready) >= self._settings.standbys:
            await self._discard(next(iter(self._ready.values())))
        golden, snapshot = found
        self._admit(golden)
        self._goldens.in_use.append(golden.id)
        try:
            await self._make(golden, snapshot, wish.files)
        finally:
            self._goldens.in_use.remove(golden.id)

    def _admit(self, golden: Golden) -> None:
        settings = self._settings
        reserve, available = settings.memory_reserve_mib, available_memory_mib()
        require_memory(golden.mem_mib, promised_mib=0, reserve_mib=reserve, available_mib=available)
        require_space(settings.state_dir, settings.disk_reserve_mib)

    async def _make(self, golden: Golden, snapshot: Snapshot, files: BootFiles) -> None:
        now = datetime.now(UTC)
        wanted = Standby(sandbox_id(), golden.id, golden.key, golden.disk_mib, now)
        self._making = wanted.id
        async with AsyncExitStack() as undo:
            standby = await self._store.insert(wanted, capacity=self._network.capacity)
            undo.push_async_callback(self._end, standby)
            self._steps.reach(Step.STANDBY_INTENDED)
            blank = replace(self._goldens.blank(golden), id=standby.id, slot=standby.slot, name="standby")
            self._machines.make_directory(blank)
            await self._layers.start_over(standby.id, snapshot.layer)
            self._steps.reach(Step.STANDBY_DISK)
            deadline_s = self._settings.boot_deadline_s
            await self._machines.stand_by(blank, snapshot.memory, snapshot.origin, files, deadline_s=deadline_s)
            self._steps.reach(Step.STANDBY_HALTED)
            await self._store.ready(standby.id)
            undo.pop_all()
        self._ready[standby.id] = replace(standby, ready=True)
        log.info("machine stands by", sandbox=standby.id, image=golden.rootfs, shape=golden.shape)
        self._steps.reach(Step.STANDBY_READY)

    async def _discard(self, standby: Standby) -> None:
        """End one that waits."""
        if self._ready.pop(standby.id, None):
            await self._end(standby)

    async def _end(self, standby: Standby) -> None:
        """Remove whatever there is of one, its row last; repeatable."""
        await self._machines.remove(nobody(standby.id, standby.slot, name="standby", created_at=standby.created_at))
        await self._machines.erase(standby.id)
        await self._store.remove(standby.id)

    async def sweep(self) -> None:
        """End what a dead daemon has left, however far it had got, and what could not be ended before."""
        for standby in self._store.all():
            if standby.id not in self.guests:
                await self._attempt(self._end(standby), standby)

    async def tidy(self) -> None:
        """End those that nobody has wanted for long, or whose golden snapshot has gone, and what could not be ended."""
        await self.sweep()
        goldens = {golden.id for golden in self._goldens.all()}
        for standby in list(self._ready.values()):
            if standby.golden_id not in goldens or datetime.now(UTC) - standby.created_at > _KEPT_FOR:
                await self._discard(standby)

    async def make_room(self) -> bool:
        """End all that wait and tell whether there were any: somebody needs the memory."""
        waiting = list(self._ready.values())
        for standby in waiting:
            await self._discard(standby)
        return bool(waiting)

    def machine_stopped(self, stopped: Stopped) -> None:
        """A machine ended by itself; clear away what is left when it was one of these."""
        if standby := self._ready.pop(stopped.sandbox_id, None):
            self._background.start(f"stood by {standby.id}", self._end(standby))

    async def close(self) -> None:
        """End all, and make no more: what stands by is of use to this daemon alone."""
        self._closed = True
        self._wishes.clear()
        if self._work:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
        for standby in list(self._ready.values()):
            await self._attempt(self._discard(standby), standby)

    async def _attempt(self, action: Coroutine[None, None, None], standby: Standby) -> None:
        try:
            await action
        except EngineError as exc:
            log.warning("a machine that stood by was not ended", sandbox=standby.id, reason=exc.sentence)
