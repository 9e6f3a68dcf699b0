"""The one owner of work that outlives a request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import structlog

from createos_engine.errors import EngineError

T = TypeVar("T")
log = structlog.get_logger(__name__)


class Background:
    """Named tasks that end with the engine. Expected failures are logged; a bug ends the daemon through `failed`.

    A daemon that ends on a bug starts again into reconcile, which is safer than one that goes on half working.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def start(self, name: str, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run *work* beside everything else. Whoever awaits the task sees its failure too."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def every(self, seconds: float, name: str, job: Callable[[], Awaitable[object]]) -> None:
        """Run *job* now and again; an expected failure is logged and the next turn comes all the same."""

        async def turns() -> None:
            while True:
                await asyncio.sleep(seconds)
                try:
                    await job()
                except EngineError as exc:
                    log.warning("background job failed", job=name, reason=exc.sentence, **exc.context)

        self.start(name, turns())

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or task.exception() is None:
            return
        exc = task.exception()
        if isinstance(exc, EngineError):
            log.info("task ended with a failure", task=task.get_name(), reason=exc.sentence)
            return
        log.error("task ended with a bug", task=task.get_name(), exc_info=exc)
        if not self.failed.done() and exc:
            self.failed.set_exception(exc)

    async def drain(self, prefix: str, deadline_s: float) -> None:
        """Wait for the tasks whose name begins with *prefix*, at most *deadline_s* seconds."""
        waiting = [task for task in self._tasks if task.get_name().startswith(prefix)]
        if waiting:
            await asyncio.wait(waiting, timeout=deadline_s)

    async def close(self) -> None:
        """Cancel what is left and wait for its undo."""
        while tasks := list(self._tasks):
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if not self.failed.done():
            self.failed.cancel()
