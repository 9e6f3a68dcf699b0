"""The S3 disks of running guests: a keeper and a door for each, for as long as the guest's agent is connected."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import structlog

from createos_engine.disk_words import Attachment, Keys, MountStatus
from createos_engine.drivers.channel.agent import AgentClient
from createos_engine.drivers.channel.mounts import CAPABILITY, GuestMounts
from createos_engine.drivers.hypervisor import Hypervisor
from createos_engine.errors import GuestFailed, Unavailable
from createos_engine.services.background import Background
from createos_engine.services.mount_door import MountDoor
from createos_engine.services.mount_keeper import Endpoint, MountKeeper, Tools
from createos_engine.services.naming import machine_name
from createos_engine.services.progress import Progress
from createos_engine.store.attachments import AttachmentStore
from createos_engine.store.sandboxes import SandboxStore
from createos_engine.words import State

log = structlog.get_logger(__name__)

UNMOUNT_S = 4.0
"""What a mount has to be written out before it is taken away by force; a detach is over within 10 s."""
HOLD_S = 10.0
"""What the mounts of a guest have to be written out before it is paused."""
_NOT_YET_S = 0.05


@dataclass
class _Guest:
    """What runs for one connection to an agent: a task for each attachment, by its id.

    `cleared` is set once what is mounted and not wanted is gone: a new disk may have its path.
    """

    agent: AgentClient
    mounts: GuestMounts
    kept: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    doors: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    plugging: asyncio.Lock = field(default_factory=asyncio.Lock)
    cleared: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def busy(self) -> bool:
        """Whether there is somebody to ask, or something that has not ended yet."""
        return self.agent.connected or any(not task.done() for task in (*self.kept.values(), *self.doors.values()))

    async def stop(self) -> None:
        """End all that runs for this connection."""
        await asyncio.gather(*map(_stopped, (*self.kept.values(), *self.doors.values())))


class Mounts:
    """Makes the mounts of guests what the rows of their sandboxes say."""

    def __init__(
        self,
        store: AttachmentStore,
        sandboxes: SandboxStore,
        hypervisor: Hypervisor,
        endpoint: Endpoint,
        keys: Callable[[str], Keys],
        background: Background,
        progress: Progress,
        instance: str,
        *,
        in_guest: bool,
    ) -> None:
        """With *in_guest* s3fs gets the keys itself, and nothing goes through the engine."""
        self._store = store
        self._sandboxes = sandboxes
        self._hypervisor = hypervisor
        self._endpoint = endpoint
        self._keys = keys
        self._background = background
        self._progress = progress
        self._instance = instance
        self._in_guest = in_guest
        self._guests: dict[str, _Guest] = {}

    def connected(self, sandbox_id: str, agent: AgentClient) -> None:
        """An agent answers: mount what its sandbox has, and take away what it has no more."""
        self._guests = {known: guest for known, guest in self._guests.items() if guest.busy}
        self._background.start(f"disks {sandbox_id}", self._welcome(sandbox_id, agent))

    def begin(self, row: Attachment) -> None:
        """Mount a new attachment, if its guest is connected."""
        if guest := self._guests.get(row.sandbox_id):
            self._keep(guest, row)

    async def end(self, row: Attachment) -> None:
        """Take a mount away within 10 s, whatever uses it; nothing of it goes through the engine any more then.

        A guest that is not connected, or does not obey, is asked again when it is connected the next time.
        """
        guest = self._guests.get(row.sandbox_id)
        if guest is None:
            return
        await _stopped(guest.kept.pop(row.id, None))
        try:
            how = await guest.mounts.unmount(row.id, force=True, deadline_s=UNMOUNT_S)
            log.info("disk unmounted", attachment=row.id, sandbox=row.sandbox_id, how=how)
        except GuestFailed as exc:
            log.warning("a disk was cut off", attachment=row.id, sandbox=row.sandbox_id, reason=exc.reason)
        finally:
            await _stopped(guest.doors.pop(row.id, None))

    async def hold(self, sandbox_id: str) -> None:
        """Have all that was written reach the endpoints, before the guest is saved.

        What nobody uses is unmounted. What is in use stays mounted and goes on after a resume; what could not be
        written out is in the memory that is saved, and is written then.
        """
        guest = self._guests.pop(sandbox_id, None)
        if guest is None or not guest.kept:
            return
        await asyncio.gather(*map(_stopped, guest.kept.values()))
        try:
            held = await guest.mounts.hold(deadline_s=HOLD_S)
            log.info("disks written out", sandbox=sandbox_id, unmounted=len(held.unmounted), kept=len(held.kept))
            for attachment_id, reason in held.failed.items():
                log.warning("a disk was not written out", attachment=attachment_id, reason=reason)
        except GuestFailed as exc:
            log.warning("the disks were not written out", sandbox=sandbox_id, reason=exc.reason)
        await guest.stop()
        for row in self._store.of_sandbox(sandbox_id):
            if row.status is not MountStatus.UNMOUNTING:
                await self._store.set_status(row.id, MountStatus.PENDING)

    async def _welcome(self, sandbox_id: str, agent: AgentClient) -> None:
        """Begin with a guest; a sandbox is itself only when it runs, a fork has yet to forget what it was."""
        if before := self._guests.pop(sandbox_id, None):
            await before.stop()
        while self._sandboxes.state(sandbox_id) is not State.RUNNING:
            if not agent.connected:
                return
            await asyncio.sleep(_NOT_YET_S)
        rows = self._store.of_sandbox(sandbox_id)
        if CAPABILITY not in agent.ready.capabilities:
            for row in rows:
                why = "its agent is older than this engine: pause it and resume it with --cold"
                await self._store.set_status(row.id, MountStatus.ERROR, why)
            return
        guest = self._guests[sandbox_id] = _Guest(agent, GuestMounts(agent))
        for row in rows:
            if row.status is not MountStatus.UNMOUNTING:
                self._keep(guest, row)
        try:
            with suppress(GuestFailed):
                await self._take_away(guest, sandbox_id)
        finally:
            guest.cleared.set()

    async def _take_away(self, guest: _Guest, sandbox_id: str) -> None:
        """Unmount what was mounted in the guest's earlier life and is not wanted in this one."""
        for mount in await guest.mounts.list():
            row = next((row for row in self._store.of_sandbox(sandbox_id) if row.id == mount.id), None)
            if row is None or row.status is MountStatus.UNMOUNTING:
                await guest.mounts.unmount(mount.id, force=True, deadline_s=0)
        for row in self._store.of_sandbox(sandbox_id):
            if row.status is MountStatus.UNMOUNTING and row.id not in guest.kept:
                await self._store.remove(row.id)

    def _keep(self, guest: _Guest, row: Attachment) -> None:
        tools = Tools(
            guest=guest.mounts,
            alive=lambda: guest.agent.connected,
            store=self._store,
            endpoint=self._endpoint,
            prepare=partial(self._prepare, guest, row.sandbox_id),
            keys=self._keys,
            in_guest=self._in_guest,
        )
        keeper = MountKeeper(row, tools)
        guest.kept[row.id] = self._background.start(f"disk {row.id}", keeper.run())
        if not self._in_guest:
            door = MountDoor(row, guest.mounts, partial(self._keys, row.disk.id), keeper.stir)
            guest.doors[row.id] = self._background.start(f"disk door {row.id}", door.run())

    async def _prepare(self, guest: _Guest, sandbox_id: str) -> None:
        tools = self._progress.require_files().tools
        if tools is None:
            raise Unavailable("the tools disk for S3 is not built", hint="run make setup on the host")
        await guest.cleared.wait()
        async with guest.plugging:
            await self._hypervisor.plug_tools(machine_name(self._instance, sandbox_id), tools)


async def _stopped(task: asyncio.Task[None] | None) -> None:
    if task:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
