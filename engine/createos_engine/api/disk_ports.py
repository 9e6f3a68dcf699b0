"""What the routes ask of S3 disks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from createos_engine.disk_words import Attachment, Keys, NewDisk, S3Disk
from createos_engine.words import Page, User


class DiskPort(Protocol):
    """Registered buckets of one user. `ref` is an id or a name; a foreign or unknown one raises NotFound."""

    async def create(self, user: User, wanted: NewDisk) -> S3Disk:
        """Return a new disk; Invalid when its name is taken or its bucket cannot be used."""

    async def list(self, user: User, page: Page) -> tuple[Sequence[S3Disk], int]:
        """Return the rows of a page, newest first, and how many there are in all."""

    async def get(self, user: User, ref: str) -> S3Disk:
        """Return one disk."""

    async def rotate(self, user: User, ref: str, keys: Keys) -> S3Disk:
        """Give a disk other keys; Invalid when its bucket cannot be used with them."""

    async def delete(self, user: User, ref: str) -> S3Disk:
        """Forget a disk; Conflict while a sandbox has it."""


class AttachmentPort(Protocol):
    """Disks of one sandbox, which like the disk is named by id or name."""

    async def attach(self, user: User, ref: str, disk_ref: str, mount_path: str, sub_path: str) -> Attachment:
        """Give a running sandbox a disk, which is mounted soon after; Conflict when something is at that path.

        *sub_path* is empty for all of the bucket.
        """

    async def detach(self, user: User, ref: str, disk_ref: str, mount_path: str | None) -> Attachment:
        """Take a disk away from a path, or from the only one; NotFound when it is not there, Invalid for several."""

    async def list(self, user: User, ref: str, page: Page) -> tuple[Sequence[Attachment], int]:
        """Return the rows of a page, newest first, and how many there are in all."""
