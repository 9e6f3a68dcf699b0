"""S3 disks in memory, over the fake sandboxes: every bucket answers but those named `missing`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from createos_engine.api.ports import SandboxPort
from createos_engine.disk_words import Attachment, Keys, MountStatus, NewDisk, S3Disk
from createos_engine.errors import Conflict, Invalid, NotFound
from createos_engine.lifecycle import require_running
from createos_engine.words import Page, User

from tests.fakes.rows import NOON


@dataclass
class FakeDisks:
    """Disks by id, with their keys."""

    rows: dict[str, S3Disk] = field(default_factory=dict)
    keys: dict[str, Keys] = field(default_factory=dict)
    used: dict[str, list[Attachment]] = field(default_factory=dict)
    """The attachments of each sandbox."""

    async def create(self, user: User, wanted: NewDisk) -> S3Disk:
        """Register a bucket at once."""
        if wanted.name in [row.name for row in self.rows.values() if row.user_id == user.id]:
            raise Invalid(f"you already have a disk named {wanted.name}", hint="choose another name", field="name")
        if wanted.bucket.bucket == "missing":
            raise Invalid("bucket missing cannot be used: the endpoint has no such bucket; make it", field="config")
        row = S3Disk(f"disk_{len(self.rows) + 1:026d}", user.id, wanted.name, wanted.bucket, NOON)
        self.rows[row.id], self.keys[row.id] = row, wanted.keys
        return row

    async def list(self, user: User, page: Page) -> tuple[Sequence[S3Disk], int]:
        """Return the newest rows first."""
        mine = [row for row in reversed(self.rows.values()) if row.user_id == user.id]
        return mine[page.offset : page.offset + page.limit], len(mine)

    async def get(self, user: User, ref: str) -> S3Disk:
        """Return a row of this user by id or name."""
        for row in self.rows.values():
            if row.user_id == user.id and ref in (row.id, row.name):
                return row
        raise NotFound("disk not found")

    async def rotate(self, user: User, ref: str, keys: Keys) -> S3Disk:
        """Replace the keys."""
        row = await self.get(user, ref)
        self.keys[row.id] = keys
        return row

    async def delete(self, user: User, ref: str) -> S3Disk:
        """Delete a row that no sandbox has."""
        row = await self.get(user, ref)
        if any(each.disk.id == row.id for having in self.used.values() for each in having):
            raise Conflict(f"disk {row.name} is attached to 1 sandbox", hint="detach it first")
        return self.rows.pop(row.id)


@dataclass
class FakeAttachments:
    """Attachments by sandbox; a mount is there at once."""

    sandboxes: SandboxPort
    disks: FakeDisks

    async def attach(self, user: User, ref: str, disk_ref: str, mount_path: str, sub_path: str) -> Attachment:
        """Mount at once."""
        sandbox = await self.sandboxes.get(user, ref)
        require_running(sandbox.state)
        disk = await self.disks.get(user, disk_ref)
        having = self.disks.used.setdefault(sandbox.id, [])
        if mount_path in [each.mount_path for each in having]:
            raise Conflict(f"the sandbox has a disk at {mount_path} already", hint="detach that, or use another path")
        status = MountStatus.MOUNTED
        having.append(Attachment(f"att-{len(having) + 1}", sandbox.id, disk, mount_path, sub_path, status))
        return having[-1]

    async def detach(self, user: User, ref: str, disk_ref: str, mount_path: str | None) -> Attachment:
        """Unmount at once."""
        sandbox = await self.sandboxes.get(user, ref)
        disk = await self.disks.get(user, disk_ref)
        having = self.disks.used.get(sandbox.id, [])
        found = [each for each in having if each.disk.id == disk.id and mount_path in (None, each.mount_path)]
        if not found:
            raise NotFound(f"the sandbox does not have disk {disk.name}")
        if len(found) > 1:
            raise Invalid(f"disk {disk.name} is attached at 2 paths", hint="name one", field="mount_path")
        having.remove(found[0])
        return found[0]

    async def list(self, user: User, ref: str, page: Page) -> tuple[Sequence[Attachment], int]:
        """Return the newest rows first."""
        rows = [*reversed(self.disks.used.get((await self.sandboxes.get(user, ref)).id, []))]
        return rows[page.offset : page.offset + page.limit], len(rows)
