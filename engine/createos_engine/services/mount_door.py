"""Where the connections of one mounted disk leave the guest: each is answered by the disk's signing relay."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from createos_engine.disk_words import Attachment, Keys
from createos_engine.drivers.channel.duplex import StreamDuplex
from createos_engine.drivers.channel.errors import AgentError
from createos_engine.drivers.channel.mounts import GuestMounts
from createos_engine.errors import GuestFailed
from createos_engine.s3.relay import Relay

log = structlog.get_logger(__name__)

# s3fs opens some twenty connections at the most; what comes above waits in the guest.
MOST_CONNECTIONS = 32
WAITING = 3
"""How many connections can begin at once without waiting for the host to ask for the next."""
_NOT_YET_S = 0.05


class MountDoor:
    """The door of one attachment; *on_health* hears what the relay finds out about the endpoint."""

    def __init__(
        self,
        row: Attachment,
        guest: GuestMounts,
        keys: Callable[[], Keys],
        on_health: Callable[[str], None],
    ) -> None:
        self._row = row
        self._guest = guest
        self._relay = Relay(row.disk.bucket, keys, row.sub_path, on_health=on_health)
        self._places = asyncio.Semaphore(MOST_CONNECTIONS)
        self._serving: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Take connections until the channel is lost or it is cancelled; those to guest and endpoint are over then."""
        try:
            async with asyncio.TaskGroup() as taking:
                for _ in range(WAITING):
                    taking.create_task(self._take())
        except* GuestFailed as exc:
            log.debug("a disk takes no more connections", attachment=self._row.id, reason=str(exc.exceptions[0]))
        finally:
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)
            await self._relay.close()

    async def _take(self) -> None:
        while True:
            await self._places.acquire()
            connection = await self._connection()
            task = asyncio.create_task(self._relay.serve(connection), name=f"disk {self._row.id}")
            self._serving.add(task)
            task.add_done_callback(self._served)

    async def _connection(self) -> StreamDuplex:
        """Return the next: the guest cannot open streams, an `accept` is kept open. The mount may not have begun."""
        while True:
            try:
                return StreamDuplex(await self._guest.accept(self._row.id))
            except AgentError:
                await asyncio.sleep(_NOT_YET_S)

    def _served(self, task: asyncio.Task[None]) -> None:
        self._serving.discard(task)
        self._places.release()
        if not task.cancelled() and (exc := task.exception()):
            log.error("a connection to a disk ended with a bug", attachment=self._row.id, exc_info=exc)
