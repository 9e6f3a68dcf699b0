"""The S3 disks that sandboxes have (wire-api 14.2)."""

from __future__ import annotations

from collections.abc import Sequence

from createos_engine.disk_words import Attachment
from createos_engine.errors import Unavailable
from createos_engine.lifecycle import require_running
from createos_engine.store.attachments import AttachmentStore
from createos_engine.store.disks import DiskStore
from createos_engine.store.sandboxes import SandboxStore
from createos_engine.words import Page, User


class Attachments:
    """Disks at paths of sandboxes."""

    def __init__(self, store: AttachmentStore, disks: DiskStore, sandboxes: SandboxStore) -> None:
        self._store = store
        self._disks = disks
        self._sandboxes = sandboxes

    async def attach(self, user: User, ref: str, disk_ref: str, mount_path: str, sub_path: str) -> Attachment:
        """Refuse what could be attached: nothing mounts disks here."""
        require_running(self._sandboxes.find(user.id, ref).state)
        disk = self._disks.find(user.id, disk_ref)
        where = f"{disk.name}/{sub_path}" if sub_path else disk.name
        raise Unavailable(f"this server cannot mount disk {where} at {mount_path}", hint="use the sandbox without it")

    async def detach(self, user: User, ref: str, disk_ref: str, mount_path: str | None) -> Attachment:
        """Forget an attachment: nothing was mounted here."""
        sandbox, disk = self._sandboxes.find(user.id, ref), self._disks.find(user.id, disk_ref)
        row = self._store.named(sandbox.id, disk, mount_path)
        await self._store.remove(row.id)
        return row

    async def list(self, user: User, ref: str, page: Page) -> tuple[Sequence[Attachment], int]:
        """Return the rows of a page, newest first, and how many there are in all."""
        return self._store.page(self._sandboxes.find(user.id, ref).id, page)
