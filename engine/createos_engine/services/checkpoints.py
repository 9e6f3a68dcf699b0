"""Checkpoints: a snapshot with a name, which stays when its sandbox goes on or is removed; forks are made of it.

Memory is a link to the sandbox's snapshot and the disk is the frozen one below it: a checkpoint costs what has changed
since. An extension; clients of the contract never see one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import structlog

from createos_engine.checkpoint_words import Checkpoint
from createos_engine.errors import Conflict, EngineError, TimedOut
from createos_engine.services.drafts import Drafts
from createos_engine.services.forks import Forks
from createos_engine.services.layers import Layers
from createos_engine.services.locks import SandboxLocks
from createos_engine.services.naming import checkpoint_id
from createos_engine.services.pauses import Pauses
from createos_engine.services.remains import Remains
from createos_engine.services.resumes import Resumes
from createos_engine.services.snapshots import Snapshots
from createos_engine.services.steps import Step, Steps
from createos_engine.store.checkpoints import CheckpointStore
from createos_engine.store.sandboxes import SandboxStore
from createos_engine.words import NewFork, Page, Sandbox, State, User

log = structlog.get_logger(__name__)

_POLL_S = 0.05


class Checkpoints:
    """Makes, lists and removes them, and forks from them."""

    def __init__(
        self,
        store: CheckpointStore,
        sandboxes: SandboxStore,
        pauses: Pauses,
        resumes: Resumes,
        forks: Forks,
        drafts: Drafts,
        snapshots: Snapshots,
        layers: Layers,
        remains: Remains,
        locks: SandboxLocks,
        steps: Steps,
        *,
        deadline_s: float,
    ) -> None:
        """*deadline_s* is how long the pause of a running sandbox may take."""
        self._store = store
        self._sandboxes = sandboxes
        self._pauses = pauses
        self._resumes = resumes
        self._forks = forks
        self._drafts = drafts
        self._snapshots = snapshots
        self._layers = layers
        self._remains = remains
        self._locks = locks
        self._steps = steps
        self._deadline_s = deadline_s

    async def create(self, user: User, ref: str, name: str) -> Checkpoint:
        """Return a checkpoint of a paused sandbox, or of a running one, which is paused for it and then resumed.

        Conflict in any other state. A name is made when none is given.
        """
        source = self._sandboxes.find(user.id, ref)
        runs = source.state is State.RUNNING
        if runs:
            source = await self._paused(await self._pauses.begin(source))
        try:
            return await self._take(user, source, name or f"{source.name}-{datetime.now(UTC):%Y%m%d-%H%M%S}")
        finally:
            if runs:
                await self._resume(source)

    async def get(self, user: User, ref: str) -> Checkpoint:
        """Return one by id or name."""
        return self._store.find(user.id, ref)

    async def list(self, user: User, page: Page) -> tuple[Sequence[Checkpoint], int]:
        """Return the rows of a page, newest first, and how many there are."""
        return self._store.page(user.id, page)

    async def fork(self, user: User, ref: str, wanted: NewFork) -> Sandbox:
        """Begin a fork of a checkpoint and return the new sandbox as `forking`."""
        checkpoint = self._store.find(user.id, ref)
        async with self._locks.hold(checkpoint.id):
            checkpoint = self._store.find(user.id, checkpoint.id)
            draft = self._drafts.fork(user, checkpoint.source, wanted)
            if not wanted.start_paused:
                await self._resumes.admit(draft)
            await self._store.forked(checkpoint.id, draft.id)
            return await self._forks.of_snapshot(draft, self._snapshots.open(checkpoint.id), wanted)

    async def delete(self, user: User, ref: str) -> Checkpoint:
        """Remove one; sandboxes that were forked from it stay."""
        checkpoint = self._store.find(user.id, ref)
        async with self._locks.hold(checkpoint.id):
            await self._store.delete(checkpoint.id)
            self._steps.reach(Step.CHECKPOINT_DELETED)
            self._snapshots.remove(checkpoint.id)
        await self._remains.collect()
        return checkpoint

    async def _take(self, user: User, source: Sandbox, name: str) -> Checkpoint:
        async with self._locks.hold(source.id):
            source = self._sandboxes.get(source.id)
            if source.state is not State.PAUSED:
                raise Conflict(
                    f"sandbox is {source.state}", hint="only a running or a paused sandbox can have a checkpoint"
                )
            return await self._make(Checkpoint(checkpoint_id(), user.id, name, source, datetime.now(UTC)))

    async def _make(self, draft: Checkpoint) -> Checkpoint:
        async with self._locks.hold(draft.id):
            row, source = await self._store.insert(draft), draft.source
            self._steps.reach(Step.CHECKPOINT_INTENDED)
            try:
                snapshot = self._snapshots.open(source.id)
                if not snapshot.layer:
                    snapshot = self._snapshots.set_layer(snapshot, await self._layers.freeze(source.id))
                self._snapshots.link(snapshot, row.id)
                self._steps.reach(Step.CHECKPOINT_LINKED)
            except EngineError:
                await self._store.delete(row.id)
                self._snapshots.remove(row.id)
                raise
            return await self._store.complete(row.id)

    async def _paused(self, sandbox: Sandbox) -> Sandbox:
        try:
            async with asyncio.timeout(self._deadline_s):
                while sandbox.state is State.PAUSING:
                    await asyncio.sleep(_POLL_S)
                    sandbox = self._sandboxes.get(sandbox.id)
        except TimeoutError:
            raise TimedOut(f"sandbox {sandbox.name} was not paused within {self._deadline_s:g} s") from None
        if sandbox.state is not State.PAUSED:
            raise Conflict(f"sandbox is {sandbox.state}", hint=sandbox.reason or "it could not be paused")
        return sandbox

    async def _resume(self, source: Sandbox) -> None:
        try:
            await self._resumes.begin(self._sandboxes.get(source.id))
        except EngineError as exc:
            log.warning("sandbox stays paused after its checkpoint", sandbox=source.id, reason=exc.sentence)
