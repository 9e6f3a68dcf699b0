"""Checkpoints in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from createos_engine.checkpoint_words import Checkpoint
from createos_engine.errors import Conflict, NotFound
from createos_engine.words import NewFork, Page, Sandbox, State, User

from tests.fakes.rows import NOON
from tests.fakes.snapshots import FakeSnapshots, Rows


class FakeCheckpoints:
    """Rows by id; a fork is one of a paused sandbox."""

    def __init__(self, sandboxes: Rows, snapshots: FakeSnapshots) -> None:
        self._sandboxes = sandboxes
        self._snapshots = snapshots
        self.rows: dict[str, Checkpoint] = {}

    async def create(self, user: User, ref: str, name: str) -> Checkpoint:
        """Make one at once."""
        source = await self._sandboxes.get(user, ref)
        if source.state not in (State.RUNNING, State.PAUSED):
            raise Conflict(f"sandbox is {source.state}")
        parent = next((row.id for row in reversed(self.rows.values()) if row.source.id == source.id), "")
        identity = f"cp-{len(self.rows) + 1:026d}"
        self.rows[identity] = Checkpoint(identity, user.id, name or "made-up", source, NOON, parent, complete=True)
        return self.rows[identity]

    async def get(self, user: User, ref: str) -> Checkpoint:
        """Return one."""
        for row in self.rows.values():
            if row.user_id == user.id and ref in (row.id, row.name):
                return row
        raise NotFound("checkpoint not found")

    async def list(self, user: User, page: Page) -> tuple[Sequence[Checkpoint], int]:
        """Return a page."""
        rows = [row for row in reversed(self.rows.values()) if row.user_id == user.id]
        return rows[page.offset : page.offset + page.limit], len(rows)

    async def fork(self, user: User, ref: str, wanted: NewFork) -> Sandbox:
        """Fork at once, also when the sandbox runs."""
        checkpoint = await self.get(user, ref)
        before = self._sandboxes.rows.get(checkpoint.source.id)
        self._sandboxes.add(replace(checkpoint.source, state=State.PAUSED))
        child = await self._snapshots.fork(user, checkpoint.source.id, wanted)
        if before:
            self._sandboxes.add(before)
        return child

    async def delete(self, user: User, ref: str) -> Checkpoint:
        """Remove one."""
        return self.rows.pop((await self.get(user, ref)).id)
