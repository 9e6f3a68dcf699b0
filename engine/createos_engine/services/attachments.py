"""Give sandboxes S3 disks and take them away (wire-api 14.2). The row comes first and goes last."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import structlog

from createos_engine.disk_words import Attachment, MountStatus
from createos_engine.errors import Invalid, NotFound
from createos_engine.lifecycle import require_running
from createos_engine.mount_paths import nested
from createos_engine.services.background import Background
from createos_engine.services.locks import SandboxLocks
from createos_engine.services.mounts import Mounts
from createos_engine.services.naming import attachment_id
from createos_engine.services.network import Network
from createos_engine.store.attachments import MOST_OF_A_SANDBOX, AttachmentStore
from createos_engine.store.disks import DiskStore
from createos_engine.store.sandboxes import SandboxStore
from createos_engine.words import Page, Sandbox, User, WantedDisk

log = structlog.get_logger(__name__)


class Attachments:
    """Which disks sandboxes have; mounting them is up to Mounts."""

    def __init__(
        self,
        store: AttachmentStore,
        disks: DiskStore,
        sandboxes: SandboxStore,
        mounts: Mounts,
        network: Network,
        locks: SandboxLocks,
        background: Background,
    ) -> None:
        self._store = store
        self._disks = disks
        self._sandboxes = sandboxes
        self._mounts = mounts
        self._network = network
        self._locks = locks
        self._background = background

    async def attach(self, user: User, ref: str, disk_ref: str, mount_path: str, sub_path: str) -> Attachment:
        """Give a running sandbox a disk and return the row, which is `pending`."""
        sandbox = self._sandboxes.find(user.id, ref)
        require_running(sandbox.state)
        disk = self._disks.find(user.id, disk_ref)
        row = Attachment(attachment_id(), sandbox.id, disk, mount_path, sub_path)
        await self._finished(f"attach disk {sandbox.id}", self._attach(sandbox, row))
        return row

    async def detach(self, user: User, ref: str, disk_ref: str, mount_path: str | None) -> Attachment:
        """Take a disk away from a sandbox of any state, and return what its row was."""
        sandbox = self._sandboxes.find(user.id, ref)
        row = self._store.named(sandbox.id, self._disks.find(user.id, disk_ref), mount_path)
        await self._finished(f"detach disk {sandbox.id}", self._detach(sandbox, row))
        return row

    async def list(self, user: User, ref: str, page: Page) -> tuple[Sequence[Attachment], int]:
        """Return the rows of a page, newest first, and how many there are in all."""
        return self._store.page(self._sandboxes.find(user.id, ref).id, page)

    def wanted(self, user: User, wanted: Sequence[WantedDisk]) -> tuple[Attachment, ...]:
        """Return the rows of the disks a create names, of no sandbox yet; Invalid (field disks) when one is unknown."""
        if len(wanted) > MOST_OF_A_SANDBOX:
            raise Invalid(f"a sandbox can have {MOST_OF_A_SANDBOX} disks at a time", field="disks")
        for one, other in combinations(wanted, 2):
            if nested(one.mount_path, other.mount_path):
                reason = f"{one.mount_path} and {other.mount_path} would be mounted in each other"
                raise Invalid(reason, hint="use another path", field="disks")
        return tuple(self._drafted(user, each) for each in wanted)

    async def join(self, sandbox: Sandbox, rows: Sequence[Attachment]) -> None:
        """Write down the disks of a sandbox that is being created; they are mounted when it runs."""
        for row in rows:
            await self._store.add(replace(row, sandbox_id=sandbox.id))

    def _drafted(self, user: User, wanted: WantedDisk) -> Attachment:
        try:
            disk = self._disks.find(user.id, wanted.ref)
        except NotFound as exc:
            hint = "createos sandbox disk ls shows what there is"
            raise Invalid(f"unknown disk: {wanted.ref}", hint=hint, field="disks") from exc
        return Attachment(attachment_id(), "", disk, wanted.mount_path, wanted.sub_path)

    async def _attach(self, sandbox: Sandbox, row: Attachment) -> None:
        async with self._locks.hold(sandbox.id):
            require_running(self._sandboxes.get(sandbox.id).state)
            await self._store.add(row)
            self._network.renew(sandbox.slot)
            self._mounts.begin(row)
        log.info("disk attached", sandbox=sandbox.id, disk=row.disk.id, attachment=row.id)

    async def _detach(self, sandbox: Sandbox, row: Attachment) -> None:
        async with self._locks.hold(sandbox.id):
            await self._store.set_status(row.id, MountStatus.UNMOUNTING)
            await self._mounts.end(row)
            await self._store.remove(row.id)
            self._network.renew(sandbox.slot)
        log.info("disk detached", sandbox=sandbox.id, disk=row.disk.id, attachment=row.id)

    async def _finished(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Wait for work that goes on to its end even when the caller goes away."""
        await asyncio.shield(self._background.start(name, work))
