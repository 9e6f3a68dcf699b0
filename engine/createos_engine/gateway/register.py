"""Who is connected to the gateway, and the work that is done for them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

import structlog

from createos_engine.gateway.limits import Patience
from createos_engine.gateway.ports import AccessPort

log = structlog.get_logger(__name__)

MOST_UNKNOWN = 64
MOST_CONNECTIONS = 512


class Hangable(Protocol):
    """A connection that can be ended at once."""

    def abort(self) -> None:
        """End it."""


class Register:
    """Connections, those that have not said who they are apart, and tasks; the one owner of both."""

    def __init__(self, access: AccessPort) -> None:
        self.access = access
        self.patience = Patience()
        self._unknown: dict[Hangable, None] = {}
        self._all: dict[Hangable, None] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def connections(self) -> list[Any]:
        """Everybody who is connected."""
        return list(self._all)

    def came(self, connection: Hangable) -> None:
        """Note a connection. When too many have not logged in, the one that has taken longest for it makes room."""
        if len(self._all) >= MOST_CONNECTIONS and not self._unknown:
            log.warning("too many ssh connections", most=MOST_CONNECTIONS)
            connection.abort()
            return
        if len(self._unknown) >= MOST_UNKNOWN or len(self._all) >= MOST_CONNECTIONS:
            next(iter(self._unknown)).abort()
        self._unknown[connection] = self._all[connection] = None

    def known(self, connection: Hangable) -> None:
        """Note that somebody has logged in."""
        self._unknown.pop(connection, None)

    def left(self, connection: Hangable) -> None:
        """Forget a connection."""
        self._unknown.pop(connection, None)
        self._all.pop(connection, None)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work of a channel; a bug in it is logged whole and ends that channel alone."""
        task = asyncio.get_running_loop().create_task(work, name="ssh channel")
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def close(self, drain_s: float) -> None:
        """Cancel all work, then end the connections when they had time to send the last words."""
        while tasks := list(self._tasks):
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        connections = self.connections
        for connection in connections:
            connection.disconnect(_BY_APPLICATION, "createosd is stopping")
        closed = [asyncio.create_task(connection.wait_closed()) for connection in connections]
        if closed:
            await asyncio.wait(closed, timeout=drain_s)
        for connection, waiting in zip(connections, closed, strict=True):
            connection.abort()
            waiting.cancel()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (exc := task.exception()):
            log.error("an ssh channel ended with a bug", exc_info=exc)


_BY_APPLICATION = 11
