"""Create, find and end sandboxes. Intent first: the row is committed before the first host object exists."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import structlog

from createos_engine.disk_words import Attachment
from createos_engine.errors import Conflict, EngineError, Unavailable
from createos_engine.lifecycle import TERMINAL
from createos_engine.network_words import PrivateNetwork
from createos_engine.services.admission import available_memory_mib, require_memory, require_space
from createos_engine.services.attachments import Attachments
from createos_engine.services.background import Background
from createos_engine.services.drafts import Drafts
from createos_engine.services.locks import SandboxLocks
from createos_engine.services.machines import Machines
from createos_engine.services.network import Network
from createos_engine.services.networks import Networks
from createos_engine.services.progress import BootFiles, Progress
from createos_engine.services.remains import Remains
from createos_engine.services.snapshots import Snapshots
from createos_engine.services.starts import Starts
from createos_engine.settings import Settings
from createos_engine.store.sandboxes import SandboxStore, StateChange
from createos_engine.words import Counts, NewSandbox, Page, Sandbox, SandboxChanges, State, User

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Belongings:
    """What a new sandbox begins with besides its machine, and whether that boots whatever there is."""

    networks: Sequence[PrivateNetwork]
    disks: Sequence[Attachment]
    cold: bool


class Sandboxes:
    """The life of sandboxes."""

    def __init__(
        self,
        store: SandboxStore,
        machines: Machines,
        network: Network,
        drafts: Drafts,
        networks: Networks,
        attachments: Attachments,
        locks: SandboxLocks,
        background: Background,
        progress: Progress,
        settings: Settings,
        snapshots: Snapshots,
        remains: Remains,
        starts: Starts,
    ) -> None:
        self._store = store
        self._machines = machines
        self._network = network
        self._drafts = drafts
        self._networks = networks
        self._attachments = attachments
        self._locks = locks
        self._background = background
        self._progress = progress
        self._settings = settings
        self._snapshots = snapshots
        self._remains = remains
        self._starts = starts
        self._boots = asyncio.Semaphore(settings.boots_at_once)
        # Between looking for room and the row that takes it nobody else may look.
        self._admission = asyncio.Lock()
        self._creating: dict[str, asyncio.Task[Sandbox]] = {}

    async def create(self, user: User, wanted: NewSandbox) -> Sandbox:
        """Return a running sandbox, or raise with nothing left behind but a `failed` row that says why.

        A caller who goes away does not stop the create: the sandbox is there under its name.
        """
        files = self._progress.require_ready()
        draft, base = self._drafts.draft(user, wanted)
        networks, disks = self._networks.wanted(user, wanted.networks), self._attachments.wanted(user, wanted.disks)
        own = _Belongings(networks, disks, wanted.cold)
        if not wanted.cold:
            draft = await self._starts.claim(draft, files)
        # A caller who goes away between the row and the work would leave a row that nobody works on.
        begun = self._background.start(f"admit {draft.id}", self._begin(draft, base.path, files, own))
        task = await asyncio.shield(begun)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                state = self._store.get(draft.id).state
                raise Conflict(f"sandbox is {state}", hint="it was removed meanwhile") from None
            raise

    async def _begin(self, draft: Sandbox, base: Path, files: BootFiles, own: _Belongings) -> asyncio.Task[Sandbox]:
        """Commit the row and start the work."""
        with self._locks.beginning(draft.id) as work:
            try:
                row = await self._admitted(draft)
            except BaseException:
                self._starts.release(draft.id)
                raise
            task = self._background.start(f"create {row.id}", self._bring_up(row, base, files, own))
            work.append(task)
        self._creating[row.id] = task
        task.add_done_callback(lambda _: self._creating.pop(row.id, None))
        return task

    async def _admitted(self, draft: Sandbox) -> Sandbox:
        """Commit the row if there is room for the machine, also where room has to be made for it."""
        async with self._admission:
            try:
                self._admit(draft)
            except Unavailable:
                if not await self._starts.make_room():
                    raise
                self._admit(draft)
            return await self._store.insert(
                draft, capacity=self._network.capacity, address=lambda slot: str(self._network.endpoint(slot).ipv4)
            )

    async def get(self, user: User, ref: str) -> Sandbox:
        """Return one sandbox by id or name."""
        return self._store.find(user.id, ref)

    async def by_ip(self, user: User, ip: str) -> Sandbox:
        """Return the live sandbox with this address."""
        return self._store.by_ip(user.id, ip)

    async def list(self, user: User, page: Page, state: State | None) -> tuple[Sequence[Sandbox], int]:
        """Return the rows of a page, newest first, and how many match in all."""
        return self._store.page(user.id, page, state)

    async def counts(self, user: User) -> Counts:
        """Count the user's sandboxes by state."""
        return self._store.counts(user.id)

    async def change(self, user: User, ref: str, changes: SandboxChanges) -> Sandbox:
        """Change all that is given, or nothing, and return the sandbox; Conflict when it has ended."""
        sandbox = await self._store.change(self._store.find(user.id, ref).id, changes)
        self._machines.record(sandbox)
        log.info("sandbox changed", sandbox=sandbox.id, **asdict(changes))
        return sandbox

    async def delete(self, user: User, ref: str) -> Sandbox:
        """Begin the end of a sandbox and return it as `destroying`; one that has ended is returned as it is."""
        return await self.destroy(self._store.find(user.id, ref))

    async def destroy(self, sandbox: Sandbox, *, reason: str = "") -> Sandbox:
        """Begin the end of a sandbox, whoever owns it; the row keeps a *reason* that nobody else knows."""
        if sandbox.state in TERMINAL or sandbox.state is State.DESTROYING:
            return sandbox
        sandbox = await self._store.move(sandbox.id, State.DESTROYING, StateChange(reason=reason or None))
        if task := self._creating.get(sandbox.id):
            task.cancel()
        self._background.start(f"destroy {sandbox.id}", self.tear_down(sandbox))
        return sandbox

    async def tear_down(self, sandbox: Sandbox) -> None:
        """End a `destroying` sandbox and all its host objects; reconcile repeats this until it has worked."""
        async with self._locks.hold(sandbox.id):
            await self._starts.abandon(sandbox)
            await self._machines.remove(sandbox)
            await self._machines.erase(sandbox.id)
            self._snapshots.remove(sandbox.id)
            await self._store.move(sandbox.id, State.DESTROYED, StateChange(destroyed_at=datetime.now(UTC)))
            log.info("sandbox destroyed", sandbox=sandbox.id)
        await self._remains.collect()

    def _admit(self, draft: Sandbox) -> None:
        promised = sum(row.mem_mib for row in self._store.in_states({State.CREATING}))
        reserve = self._settings.memory_reserve_mib
        require_memory(draft.mem_mib, promised_mib=promised, reserve_mib=reserve, available_mib=available_memory_mib())
        require_space(self._settings.state_dir, self._settings.disk_reserve_mib)

    async def _bring_up(self, row: Sandbox, base: Path, files: BootFiles, own: _Belongings) -> Sandbox:
        begun = perf_counter()
        async with self._locks.hold(row.id):
            try:
                await self._networks.join(row, own.networks)
                await self._attachments.join(row, own.disks)
                async with self._boots:
                    await self._starts.start(row, base, files, cold=own.cold)
            except EngineError as exc:
                await self._give_up(row, exc.reason)
                raise
            except asyncio.CancelledError:
                await self._give_up(row, "the create was stopped")
                raise
            spawn_ms = round((perf_counter() - begun) * 1000, 1)
            change = StateChange(running_at=datetime.now(UTC), spawn_ms=spawn_ms)
            running = await self._store.move(row.id, State.RUNNING, change)
        log.info("sandbox running", sandbox=row.id, spawn_ms=spawn_ms)
        return running

    async def _give_up(self, row: Sandbox, reason: str) -> None:
        """Write down why; a row that is being destroyed meanwhile stays that way."""
        log.warning("sandbox failed", sandbox=row.id, reason=reason)
        await self._starts.abandon(row)
        with suppress(Conflict):
            await self._store.move(row.id, State.FAILED, StateChange(reason=reason, destroyed_at=datetime.now(UTC)))
