"""Templates in a dict; a build ends at once, and fails when the file says `RUN false`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from createos_engine.errors import Invalid, NotFound
from createos_engine.template_words import BuildStatus, LogLine, NewTemplate, Template
from createos_engine.words import Page, User
from createos_images.dockerfile import check
from createos_images.errors import ImageError

from tests.fakes.rows import NOON

KNOWN = ("devbox:1", "debian:12", "busybox:1")


class FakeTemplates:
    """What the routes ask of templates."""

    def __init__(self) -> None:
        self.rows: dict[str, Template] = {}

    async def submit(self, user: User, wanted: NewTemplate) -> Template:
        """Check the file as the real one does."""
        try:
            base = check(wanted.dockerfile, KNOWN).base
        except ImageError as exc:
            raise Invalid(exc.reason, hint=exc.hint, field="dockerfile") from exc
        fails = "RUN false" in wanted.dockerfile
        old = next((row for row in self.rows.values() if (row.user_id, row.name) == (user.id, wanted.name)), None)
        row = Template(
            id=old.id if old else f"tpl_{len(self.rows) + 1:026d}",
            user_id=user.id,
            name=wanted.name,
            base=base,
            status=BuildStatus.FAILED if fails else BuildStatus.READY,
            attempt=old.attempt + 1 if old else 1,
            dockerfile=wanted.dockerfile,
            reason="the step RUN false failed with exit code 1" if fails else "",
            digest="" if fails else "0" * 64,
            size_bytes=0 if fails else 38_797_312,
            created_at=NOON,
            built_at=None if fails else NOON,
        )
        self.rows[row.id] = row
        return row

    async def get(self, user: User, ref: str) -> Template:
        """Return a row by id or name."""
        for row in self.rows.values():
            if row.user_id == user.id and ref in (row.id, row.name):
                return row
        raise NotFound("template not found", hint="createos sandbox template ls")

    async def list(self, user: User, page: Page) -> tuple[Sequence[Template], int]:
        """Return the newest first."""
        mine = [row for row in reversed(self.rows.values()) if row.user_id == user.id]
        return mine[page.offset : page.offset + page.limit], len(mine)

    async def delete(self, user: User, ref: str) -> Template:
        """Forget a row."""
        return self.rows.pop((await self.get(user, ref)).id)

    async def log(self, user: User, ref: str, attempt: int | None) -> Sequence[LogLine]:
        """Return a line for each line of the file."""
        row = await self.get(user, ref)
        if attempt and attempt > row.attempt:
            raise NotFound(f"there was no attempt {attempt}", hint="leave attempt out for the latest one")
        return [LogLine(NOON, f"STEP {line}", row.attempt) for line in row.dockerfile.splitlines()]

    async def follow(self, user: User, ref: str, attempt: int | None) -> AsyncIterator[LogLine | BuildStatus | None]:
        """Return the same lines, a silence, and the status."""
        lines = await self.log(user, ref, attempt)
        status = (await self.get(user, ref)).status

        async def events() -> AsyncIterator[LogLine | BuildStatus | None]:
            for line in lines:
                yield line
            yield None
            yield status

        return events()
