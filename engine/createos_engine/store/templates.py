"""Rows of templates and of the attempts to build them."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime

from ulid import ULID

from createos_engine.errors import NotFound
from createos_engine.store.database import Database, Row
from createos_engine.store.rows import optional_time, to_text, to_time
from createos_engine.template_words import Build, BuildStatus, NewTemplate, Template
from createos_engine.words import Page, User

_UNFINISHED = (BuildStatus.PENDING, BuildStatus.BUILDING)
# A template shows its latest attempt, and the size and time of its newest image that is ready.
_SELECT = """
    SELECT templates.*, latest.attempt, latest.status, latest.base, latest.dockerfile, latest.reason, latest.builder,
           coalesce(ready.size_bytes, 0) AS size_bytes, ready.finished_at AS built_at,
           coalesce(ready.digest, '') AS digest
    FROM templates
    JOIN builds AS latest ON latest.template_id = templates.id
        AND latest.attempt = (SELECT max(attempt) FROM builds WHERE template_id = templates.id)
    LEFT JOIN builds AS ready ON ready.template_id = templates.id
        AND ready.attempt = (SELECT max(attempt) FROM builds WHERE template_id = templates.id AND status = 'ready')
"""


@dataclass(frozen=True)
class Result:
    """An image that a build made: its digest and the size of its file system in bytes."""

    digest: str
    size_bytes: int


class TemplateStore:
    """The templates and builds tables."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def submit(self, user: User, wanted: NewTemplate, *, base: str, result_key: str) -> Template:
        """Store a new template, or a new attempt for the one of that name, as `pending`."""
        now = to_text(datetime.now(UTC))

        def change(db: sqlite3.Connection) -> str:
            found = db.execute(
                "SELECT id FROM templates WHERE user_id = ? AND name = ? AND deleted_at IS NULL", (user.id, wanted.name)
            ).fetchone()
            identity = found["id"] if found else f"tpl_{ULID()}"
            if not found:
                values = (identity, user.id, wanted.name, now)
                db.execute("INSERT INTO templates (id, user_id, name, created_at) VALUES (?, ?, ?, ?)", values)
            db.execute(
                "INSERT INTO builds (template_id, attempt, dockerfile, base, status, result_key, created_at, builder) "
                "SELECT ?, coalesce(max(attempt), 0) + 1, ?, ?, ?, ?, ?, ? FROM builds WHERE template_id = ?",
                (identity, wanted.dockerfile, base, BuildStatus.PENDING, result_key, now, wanted.builder, identity),
            )
            return str(identity)

        return self.get(await self._db.write(change))

    def get(self, template_id: str) -> Template:
        """Return a template, a deleted one too."""
        rows = self._db.read(f"{_SELECT} WHERE templates.id = ?", (template_id,))
        if not rows:
            raise _not_found()
        return _template(rows[0])

    def find(self, user_id: str, ref: str) -> Template:
        """Return the user's template of this id or name; NotFound when it is deleted."""
        sql = f"{_SELECT} WHERE user_id = ? AND deleted_at IS NULL AND (templates.id = ? OR name = ?)"
        rows = self._db.read(sql, (user_id, ref, ref))
        if not rows:
            raise _not_found()
        return _template(next((row for row in rows if row["id"] == ref), rows[0]))

    def page(self, user_id: str, page: Page) -> tuple[list[Template], int]:
        """Return a window of the user's templates, newest first, and how many there are."""
        where = "WHERE user_id = ? AND deleted_at IS NULL"
        total = self._db.read(f"SELECT count(*) FROM templates {where}", (user_id,))[0][0]
        sql = f"{_SELECT} {where} ORDER BY templates.created_at DESC, templates.id DESC LIMIT ? OFFSET ?"
        return [_template(row) for row in self._db.read(sql, (user_id, page.limit, page.offset))], total

    def unfinished(self) -> list[Build]:
        """Return the attempts that wait or were being built, oldest first."""
        sql = "SELECT * FROM builds WHERE status IN (?, ?) ORDER BY created_at"
        return [_build(row) for row in self._db.read(sql, _UNFINISHED)]

    def latest(self, template_id: str) -> Build:
        """Return the latest attempt."""
        sql = "SELECT * FROM builds WHERE template_id = ? ORDER BY attempt DESC LIMIT 1"
        return _build(self._db.read(sql, (template_id,))[0])

    def newest_ready(self, template_id: str) -> Build:
        """Return the attempt that made the image in use, or raise NotFound."""
        sql = "SELECT * FROM builds WHERE template_id = ? AND status = 'ready' ORDER BY attempt DESC LIMIT 1"
        rows = self._db.read(sql, (template_id,))
        if not rows:
            raise NotFound("the template has no image yet", hint="see createos sandbox template logs")
        return _build(rows[0])

    def attempt(self, template_id: str, number: int) -> Build:
        """Return one attempt, or raise NotFound."""
        rows = self._db.read("SELECT * FROM builds WHERE template_id = ? AND attempt = ?", (template_id, number))
        if not rows:
            raise NotFound(f"there was no attempt {number}", hint="leave attempt out for the latest one")
        return _build(rows[0])

    def result_of(self, result_key: str) -> Result | None:
        """Return the newest image that a build with this key made."""
        sql = "SELECT * FROM builds WHERE result_key = ? AND status = 'ready' ORDER BY finished_at DESC LIMIT 1"
        rows = self._db.read(sql, (result_key,))
        return Result(rows[0]["digest"], rows[0]["size_bytes"]) if rows else None

    async def adopt(self, user: User, wanted: NewTemplate, *, base: str, result_key: str, result: Result) -> Template:
        """Store a template whose image came from elsewhere, as a new version that is ready."""
        template = await self.submit(user, wanted, base=base, result_key=result_key)
        await self.finish(self.latest(template.id), result=result)
        return self.get(template.id)

    async def begin(self, build: Build) -> bool:
        """Mark an attempt as being built; False when it was deleted meanwhile."""
        sql = (
            "UPDATE builds SET status = ? WHERE template_id = ? AND attempt = ? AND status IN (?, ?) AND EXISTS "
            "(SELECT 1 FROM templates WHERE id = template_id AND deleted_at IS NULL)"
        )
        values = (BuildStatus.BUILDING, build.template_id, build.attempt, *_UNFINISHED)
        return bool(await self._db.write(lambda db: db.execute(sql, values).rowcount))

    async def finish(self, build: Build, *, result: Result | None = None, reason: str = "") -> None:
        """Write down how an attempt ended: with an image, or with the reason why there is none."""
        status = BuildStatus.READY if result else BuildStatus.FAILED
        digest, size = (result.digest, result.size_bytes) if result else ("", 0)
        sql = (
            "UPDATE builds SET status = ?, reason = ?, digest = ?, size_bytes = ?, finished_at = ? "
            "WHERE template_id = ? AND attempt = ?"
        )
        values = (status, reason, digest, size, to_text(datetime.now(UTC)), build.template_id, build.attempt)
        await self._db.write(lambda db: db.execute(sql, values))

    async def delete(self, template_id: str) -> None:
        """Take a template away from its user; sandboxes made from it stay."""
        sql = "UPDATE templates SET deleted_at = ? WHERE id = ?"
        now = to_text(datetime.now(UTC))
        await self._db.write(lambda db: db.execute(sql, (now, template_id)))

    def ids(self) -> frozenset[str]:
        """Return the templates that are not deleted."""
        return frozenset(row[0] for row in self._db.read("SELECT id FROM templates WHERE deleted_at IS NULL"))

    def digests(self) -> frozenset[str]:
        """Return the images that templates can still be created from."""
        sql = (
            "SELECT DISTINCT digest FROM builds JOIN templates ON templates.id = template_id "
            "WHERE status = 'ready' AND deleted_at IS NULL"
        )
        return frozenset(row[0] for row in self._db.read(sql))


def _not_found() -> NotFound:
    return NotFound("template not found", hint="createos sandbox template ls")


def _template(row: Row) -> Template:
    return Template(
        id=row["id"],
        user_id=row["user_id"],
        name=row["name"],
        base=row["base"],
        status=BuildStatus(row["status"]),
        attempt=row["attempt"],
        dockerfile=row["dockerfile"],
        reason=row["reason"],
        digest=row["digest"],
        size_bytes=row["size_bytes"],
        created_at=to_time(row["created_at"]),
        built_at=optional_time(row["built_at"]),
        deleted=row["deleted_at"] is not None,
        builder=row["builder"],
    )


def _build(row: Row) -> Build:
    return Build(
        template_id=row["template_id"],
        attempt=row["attempt"],
        dockerfile=row["dockerfile"],
        status=BuildStatus(row["status"]),
        reason=row["reason"],
        result_key=row["result_key"],
        builder=row["builder"],
    )
