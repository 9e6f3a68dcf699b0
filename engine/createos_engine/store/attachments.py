"""Which S3 disks sandboxes have, where, and how their mounts are doing."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime

from createos_engine.disk_words import Attachment, MountStatus, S3Disk
from createos_engine.errors import Conflict, Invalid, NotFound
from createos_engine.lifecycle import require_alive
from createos_engine.mount_paths import nested
from createos_engine.store.database import Database, Row
from createos_engine.store.disks import disk_of
from createos_engine.store.rows import to_text
from createos_engine.words import Page, State

MOST_OF_A_SANDBOX = 16

_SELECT = """
    SELECT disks.*, attachments.id AS attachment_id, sandbox_id, mount_path, sub_path, status, error
    FROM attachments JOIN disks ON disks.id = disk_id
"""
_IN_ORDER = "ORDER BY attachments.created_at, attachments.id"


class AttachmentStore:
    """The attachments table. Rows of a sandbox go when it ends."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def add(self, draft: Attachment) -> None:
        """Store the intent row of an attachment.

        Raises NotFound when the disk is gone, Conflict when the sandbox has ended, has something at this path already,
        or has as many disks as it may have.
        """
        at = to_text(datetime.now(UTC))
        own = (draft.id, draft.sandbox_id, draft.disk.id, draft.mount_path, draft.sub_path)

        def change(db: sqlite3.Connection) -> None:
            if not db.execute("SELECT 1 FROM disks WHERE id = ?", (draft.disk.id,)).fetchone():
                raise NotFound("disk not found")
            _require_room(db, draft)
            db.execute("INSERT INTO attachments VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*own, draft.status, draft.error, at))

        await self._db.write(change)

    def of_sandbox(self, sandbox_id: str) -> list[Attachment]:
        """Return all attachments of a sandbox, in the order in which they were made."""
        rows = self._db.read(f"{_SELECT} WHERE sandbox_id = ? {_IN_ORDER}", (sandbox_id,))
        return [_attachment(row) for row in rows]

    def of_disk(self, disk_id: str) -> list[Attachment]:
        """Return all attachments of a disk, in the order in which they were made."""
        return [_attachment(row) for row in self._db.read(f"{_SELECT} WHERE disk_id = ? {_IN_ORDER}", (disk_id,))]

    def page(self, sandbox_id: str, page: Page) -> tuple[list[Attachment], int]:
        """Return a window of a sandbox's attachments, newest first, and how many there are in all."""
        total = self._db.read("SELECT count(*) FROM attachments WHERE sandbox_id = ?", (sandbox_id,))[0][0]
        order = "ORDER BY attachments.created_at DESC, attachments.id DESC LIMIT ? OFFSET ?"
        rows = self._db.read(f"{_SELECT} WHERE sandbox_id = ? {order}", (sandbox_id, page.limit, page.offset))
        return [_attachment(row) for row in rows], total

    def named(self, sandbox_id: str, disk: S3Disk, mount_path: str | None) -> Attachment:
        """Return the attachment of a disk at a path, or the only one when that is None.

        Raises NotFound when there is none, Invalid (field mount_path) when it is not said which of several is meant.
        """
        having = [row for row in self.of_sandbox(sandbox_id) if row.disk.id == disk.id]
        found = [row for row in having if mount_path in (None, row.mount_path)]
        if not found:
            where = f" at {mount_path}" if mount_path else ""
            raise NotFound(f"the sandbox does not have disk {disk.name}{where}")
        if len(found) > 1:
            paths = ", ".join(row.mount_path for row in found)
            raise Invalid(
                f"disk {disk.name} is attached at {len(found)} paths: {paths}", hint="name one", field="mount_path"
            )
        return found[0]

    async def set_status(self, attachment_id: str, status: MountStatus, error: str = "") -> None:
        """Write down how a mount is doing; *error* is a sentence, or empty. A row that is gone stays gone."""
        sql = "UPDATE attachments SET status = ?, error = ? WHERE id = ?"
        await self._db.write(lambda db: db.execute(sql, (status, error, attachment_id)))

    async def remove(self, attachment_id: str) -> None:
        """Delete a row whose mount is gone; repeatable."""
        await self._db.write(lambda db: db.execute("DELETE FROM attachments WHERE id = ?", (attachment_id,)))


def _require_room(db: sqlite3.Connection, draft: Attachment) -> None:
    sandbox = db.execute("SELECT state FROM sandboxes WHERE id = ?", (draft.sandbox_id,)).fetchone()
    if sandbox is None:
        raise NotFound("sandbox not found")
    require_alive(State(sandbox["state"]))
    taken = [row["mount_path"] for row in db.execute(f"{_SELECT} WHERE sandbox_id = ?", (draft.sandbox_id,))]
    if draft.mount_path in taken:
        raise Conflict(f"the sandbox has a disk at {draft.mount_path} already", hint="detach that, or use another path")
    if other := next((path for path in taken if nested(path, draft.mount_path)), ""):
        raise Conflict(f"{draft.mount_path} and {other} would be mounted in each other", hint="use another path")
    if len(taken) >= MOST_OF_A_SANDBOX:
        raise Conflict(f"a sandbox can have {MOST_OF_A_SANDBOX} disks at a time", hint="detach one first")


def _attachment(row: Row) -> Attachment:
    return Attachment(
        id=row["attachment_id"],
        sandbox_id=row["sandbox_id"],
        disk=disk_of(row),
        mount_path=row["mount_path"],
        sub_path=row["sub_path"],
        status=MountStatus(row["status"]),
        error=row["error"],
    )
