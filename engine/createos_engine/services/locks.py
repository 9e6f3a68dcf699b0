"""One lock per sandbox: whoever changes its machine or state holds it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any


class SandboxLocks:
    """Locks by sandbox id that take no memory while nobody uses them."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._users: dict[str, int] = {}

    @asynccontextmanager
    async def hold(self, sandbox_id: str) -> AsyncIterator[None]:
        """Wait for the sandbox's lock and hold it."""
        lock = self._locks.setdefault(sandbox_id, asyncio.Lock())
        self._enter(sandbox_id)
        try:
            async with lock:
                yield
        finally:
            self._leave(sandbox_id)

    @contextmanager
    def beginning(self, sandbox_id: str) -> Iterator[list[asyncio.Task[Any]]]:
        """Have a sandbox in hand, without its lock, while an operation begins: its row is written, its work started.

        The work is put into the list, and has the sandbox in hand until it ends. Otherwise there would be a moment
        between row and work at which reconcile would take the row for one that a dead daemon left.
        """
        self._locks.setdefault(sandbox_id, asyncio.Lock())
        self._enter(sandbox_id)
        work: list[asyncio.Task[Any]] = []
        try:
            yield work
        finally:
            for task in work:
                self._enter(sandbox_id)
                task.add_done_callback(lambda _: self._leave(sandbox_id))
            self._leave(sandbox_id)

    def busy(self) -> frozenset[str]:
        """Return the ids that somebody holds, waits for, or is about to work on."""
        return frozenset(self._locks)

    def _enter(self, sandbox_id: str) -> None:
        self._users[sandbox_id] = self._users.get(sandbox_id, 0) + 1

    def _leave(self, sandbox_id: str) -> None:
        self._users[sandbox_id] -= 1
        if not self._users[sandbox_id]:
            del self._users[sandbox_id], self._locks[sandbox_id]
