"""What the routes ask of checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from createos_engine.checkpoint_words import Checkpoint
from createos_engine.words import NewFork, Page, Sandbox, User


class CheckpointPort(Protocol):
    """Named snapshots of one user. `ref` is an id or a name; a foreign or unknown one raises NotFound."""

    async def create(self, user: User, ref: str, name: str) -> Checkpoint:
        """Name the present state of a sandbox."""

    async def get(self, user: User, ref: str) -> Checkpoint:
        """Return one."""

    async def list(self, user: User, page: Page) -> tuple[Sequence[Checkpoint], int]:
        """Return the rows of a page, newest first, and how many there are."""

    async def fork(self, user: User, ref: str, wanted: NewFork) -> Sandbox:
        """Begin a fork; the answer is the new sandbox, `forking`."""

    async def delete(self, user: User, ref: str) -> Checkpoint:
        """Remove one."""
