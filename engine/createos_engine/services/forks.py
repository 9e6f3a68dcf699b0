"""Fork: a sandbox of its own that begins with the memory and the disk of a paused one.

Memory is a link to the source's, the disk an empty one on the source's frozen one, so that a fork costs next to nothing
until it writes. It is resumed like any paused sandbox; that its memory is of another makes it renew its identity.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import structlog

from createos_engine.errors import Conflict, EngineError
from createos_engine.services.drafts import Drafts
from createos_engine.services.layers import Layers
from createos_engine.services.locks import SandboxLocks
from createos_engine.services.machines import Machines
from createos_engine.services.manifests import Snapshot
from createos_engine.services.network import Network
from createos_engine.services.resumes import Resumes
from createos_engine.services.snapshots import Snapshots
from createos_engine.services.steps import Step, Steps
from createos_engine.store.sandboxes import SandboxStore, StateChange
from createos_engine.words import NewFork, Sandbox, State, User

log = structlog.get_logger(__name__)


class Forks:
    """Makes sandboxes of paused ones."""

    def __init__(
        self,
        store: SandboxStore,
        machines: Machines,
        network: Network,
        snapshots: Snapshots,
        layers: Layers,
        resumes: Resumes,
        drafts: Drafts,
        locks: SandboxLocks,
        steps: Steps,
    ) -> None:
        self._store = store
        self._machines = machines
        self._network = network
        self._snapshots = snapshots
        self._layers = layers
        self._resumes = resumes
        self._drafts = drafts
        self._locks = locks
        self._steps = steps

    async def fork(self, user: User, ref: str, wanted: NewFork) -> Sandbox:
        """Begin a fork of a paused sandbox and return the new one as `forking`."""
        source = self._store.find(user.id, ref)
        _require_paused(source)
        async with self._locks.hold(source.id):
            source = self._store.get(source.id)
            _require_paused(source)
            draft = self._drafts.fork(user, source, wanted)
            if not wanted.start_paused:
                await self._resumes.admit(draft)
            snapshot = self._snapshots.open(source.id)
            if not snapshot.layer:
                snapshot = self._snapshots.set_layer(snapshot, await self._layers.freeze(source.id))
            self._steps.reach(Step.FORK_FROZEN)
            return await self.of_snapshot(draft, snapshot, wanted)

    async def of_snapshot(self, draft: Sandbox, snapshot: Snapshot, wanted: NewFork) -> Sandbox:
        """Begin a fork of a snapshot that stays where it is until this has returned."""
        async with self._locks.hold(draft.id):
            child = await self._store.insert(
                draft, capacity=self._network.capacity, address=lambda slot: str(self._network.endpoint(slot).ipv4)
            )
            self._steps.reach(Step.FORK_INTENDED)
            try:
                await self._make(child, snapshot)
            except EngineError as exc:
                await self._store.move(child.id, State.ERROR, StateChange(reason=f"the fork failed: {exc.reason}"))
                raise
            await self._go_on(child, wanted)
        return child

    async def _make(self, child: Sandbox, snapshot: Snapshot) -> None:
        self._snapshots.link(snapshot, child.id)
        self._steps.reach(Step.FORK_LINKED)
        self._machines.make_directory(child)
        await self._layers.start_over(child.id, snapshot.layer)
        self._steps.reach(Step.FORK_DISK)

    async def _go_on(self, child: Sandbox, wanted: NewFork) -> None:
        if wanted.start_paused:
            now = datetime.now(UTC)
            await self._store.move(child.id, State.PAUSED, StateChange(paused_at=now, has_memory=True))
            return
        try:
            await self._resumes.begin(child)
        except EngineError as exc:
            said = StateChange(reason=f"the fork could not be resumed: {exc.sentence}", has_memory=True)
            log.warning("fork not resumed", sandbox=child.id, reason=exc.reason)
            with suppress(Conflict):  # it is being destroyed meanwhile
                await self._store.move(child.id, State.ERROR, said)
        finally:
            self._steps.reach(Step.FORK_READY)

    async def recover(self, sandbox_id: str) -> None:
        """End a fork that a dead daemon left half done; one that has all its parts can be resumed."""
        async with self._locks.hold(sandbox_id):
            sandbox = self._store.get(sandbox_id)
            if sandbox.state is State.FORKING:
                await self._machines.remove(sandbox)
                whole = await self._completed(sandbox)
                way_out = "resume it, or remove it and fork again" if whole else "remove it and fork again"
                reason = f"createosd was stopped while the fork was being made; {way_out}"
                await self._store.move(sandbox_id, State.ERROR, StateChange(reason=reason, has_memory=whole))

    async def _completed(self, child: Sandbox) -> bool:
        """Make the disk of a fork that has its memory, and tell whether it has. Nothing was written to it yet."""
        if not self._snapshots.saved(child.id):
            return False
        await self._machines.erase(child.id)
        self._machines.make_directory(child)
        await self._layers.start_over(child.id, self._snapshots.open(child.id).layer)
        return True


def _require_paused(source: Sandbox) -> None:
    if source.state is not State.PAUSED:
        raise Conflict(
            f"sandbox is {source.state}",
            hint=f"only a paused sandbox can be forked: createos sandbox pause {source.name}",
        )
