"""Registered S3 buckets of users, with their keys sealed."""

from __future__ import annotations

import sqlite3

from createos_engine.disk_words import KIND, Bucket, S3Disk
from createos_engine.errors import Conflict, Invalid, NotFound
from createos_engine.store.database import Database, Row
from createos_engine.store.rows import to_text, to_time
from createos_engine.words import Page

_INSERT = "INSERT INTO disks VALUES (:id, :user, :name, :kind, :endpoint, :bucket, :region, :style, :sealed, :at)"


class DiskStore:
    """The disks table."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def require_free(self, user_id: str, name: str) -> None:
        """Raise Invalid (field name) when the user has a disk of this name."""
        if self._db.read("SELECT 1 FROM disks WHERE user_id = ? AND name = ?", (user_id, name)):
            raise _duplicate(name)

    async def insert(self, disk: S3Disk, sealed: bytes) -> None:
        """Store a disk with its sealed keys; Invalid (field name) when the user has one of this name."""
        values = {
            "id": disk.id,
            "user": disk.user_id,
            "name": disk.name,
            "kind": KIND,
            "endpoint": disk.bucket.endpoint,
            "bucket": disk.bucket.bucket,
            "region": disk.bucket.region,
            "style": int(disk.bucket.path_style),
            "sealed": sealed,
            "at": to_text(disk.created_at),
        }

        def change(db: sqlite3.Connection) -> None:
            try:
                db.execute(_INSERT, values)
            except sqlite3.IntegrityError as exc:
                raise _duplicate(disk.name) from exc

        await self._db.write(change)

    def find(self, user_id: str, ref: str) -> S3Disk:
        """Return the user's disk of this id or name; else NotFound."""
        rows = self._db.read("SELECT * FROM disks WHERE user_id = ? AND (id = ? OR name = ?)", (user_id, ref, ref))
        if not rows:
            raise NotFound("disk not found")
        return disk_of(rows[0])

    def page(self, user_id: str, page: Page) -> tuple[list[S3Disk], int]:
        """Return a window of the user's disks, newest first, and how many there are in all."""
        total = self._db.read("SELECT count(*) FROM disks WHERE user_id = ?", (user_id,))[0][0]
        sql = "SELECT * FROM disks WHERE user_id = ? ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?"
        return [disk_of(row) for row in self._db.read(sql, (user_id, page.limit, page.offset))], total

    def sealed(self, disk_id: str) -> bytes:
        """Return the sealed keys of a disk, whoever owns it; NotFound when it is gone."""
        rows = self._db.read("SELECT sealed FROM disks WHERE id = ?", (disk_id,))
        if not rows:
            raise NotFound("disk not found")
        sealed: bytes = rows[0]["sealed"]
        return sealed

    def any(self) -> bool:
        """Tell whether anybody has a disk."""
        return bool(self._db.read("SELECT 1 FROM disks LIMIT 1"))

    async def reseal(self, disk_id: str, sealed: bytes) -> None:
        """Replace the sealed keys; NotFound when the disk is gone."""

        def change(db: sqlite3.Connection) -> None:
            if not db.execute("UPDATE disks SET sealed = ? WHERE id = ?", (sealed, disk_id)).rowcount:
                raise NotFound("disk not found")

        await self._db.write(change)

    async def delete(self, disk: S3Disk) -> None:
        """Delete the row; Conflict while a sandbox that has not ended has the disk, NotFound when it is gone."""

        def change(db: sqlite3.Connection) -> None:
            sql = "SELECT count(DISTINCT sandbox_id) FROM attachments WHERE disk_id = ?"
            if count := db.execute(sql, (disk.id,)).fetchone()[0]:
                users = "1 sandbox" if count == 1 else f"{count} sandboxes"
                raise Conflict(f"disk {disk.name} is attached to {users}", hint="detach it first")
            if not db.execute("DELETE FROM disks WHERE id = ?", (disk.id,)).rowcount:
                raise NotFound("disk not found")

        await self._db.write(change)


def disk_of(row: Row) -> S3Disk:
    """Return the disk of a row that has the columns of the disks table."""
    return S3Disk(
        id=row["id"],
        user_id=row["user_id"],
        name=row["name"],
        bucket=Bucket(row["endpoint"], row["bucket"], row["region"], bool(row["path_style"])),
        created_at=to_time(row["created_at"]),
    )


def _duplicate(name: str) -> Invalid:
    return Invalid(f"you already have a disk named {name}", hint="choose another name", field="name")
