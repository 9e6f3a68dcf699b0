"""Templates: a Dockerfile is checked, queued and built; sandboxes are created from what comes out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import structlog
from createos_images.buildah import result_key
from createos_images.builder import Base, base_by_digest
from createos_images.cache import Cache
from createos_images.dockerfile import SCRATCH, Dockerfile, check
from createos_images.errors import ImageError

from createos_engine.errors import EngineError, Invalid
from createos_engine.services.background import Background
from createos_engine.services.build_log import BuildLogs
from createos_engine.services.catalog import ImageCatalog
from createos_engine.services.image_gc import keep
from createos_engine.store.templates import Result, TemplateStore
from createos_engine.template_words import Build, BuildStatus, LogLine, NewTemplate, Template
from createos_engine.words import Page, User

log = structlog.get_logger(__name__)


class Builder(Protocol):
    """Makes an image of a Dockerfile."""

    async def require(self, dockerfile: Dockerfile) -> None:
        """Raise Invalid (field dockerfile) for the first line that this builder cannot do."""

    async def build(self, name: str, dockerfile: Dockerfile, bases: Sequence[Base], say: Callable[[str], None]) -> Base:
        """Return the finished base; raise EngineError with the step that failed. Cancelling ends the build."""


class Templates:
    """Submits, builds, shows and removes templates. Builds outlive requests and begin again after a restart."""

    def __init__(
        self,
        store: TemplateStore,
        catalog: ImageCatalog,
        builders: Mapping[str, Builder],
        logs: BuildLogs,
        background: Background,
        cache_dir: Path,
        *,
        builder: str,
        builds_at_once: int,
    ) -> None:
        """*builders* are those on offer, *builder* names the one that builds when nobody asks for another."""
        self._store = store
        self._catalog = catalog
        self._builders = builders
        self._builder = builder
        self._logs = logs
        self._background = background
        self._cache = Cache(cache_dir)
        self._places = asyncio.Semaphore(builds_at_once)
        self._running: dict[tuple[str, int], asyncio.Task[None]] = {}

    async def submit(self, user: User, wanted: NewTemplate) -> Template:
        """Check the file and queue its build; a file that cannot be built here is Invalid (field dockerfile)."""
        if wanted.name in self._catalog.built():
            raise Invalid(f"{wanted.name} is a built-in image", hint="choose another name", field="name")
        dockerfile, bases = self._checked(wanted.dockerfile)
        wanted = replace(wanted, builder=wanted.builder or self._builder)
        await self._offered(wanted.builder).require(dockerfile)
        key = result_key(dockerfile, bases)
        template = await self._store.submit(user, wanted, base=dockerfile.base, result_key=key)
        build = self._store.latest(template.id)
        if known := await self._known_result(key):
            self._logs.open(build)("the same file was built before from the same images: its image is used again")
            await self._store.finish(build, result=known)
            self._logs.finished(build)
        else:
            self._start(build)
        return self._store.get(template.id)

    async def get(self, user: User, ref: str) -> Template:
        """Return one template by id or name."""
        return self._store.find(user.id, ref)

    async def list(self, user: User, page: Page) -> tuple[Sequence[Template], int]:
        """Return a page, newest first, and how many there are."""
        return self._store.page(user.id, page)

    async def delete(self, user: User, ref: str) -> Template:
        """Remove a template with its logs and end its build; sandboxes made from it are left alone."""
        template = self._store.find(user.id, ref)
        await self._store.delete(template.id)
        build = self._store.latest(template.id)
        if task := self._running.get((build.template_id, build.attempt)):
            task.cancel()
            await asyncio.wait([task])
        await asyncio.to_thread(self._logs.forget, template.id)
        return template

    async def log(self, user: User, ref: str, attempt: int | None) -> Sequence[LogLine]:
        """Return what an attempt (the latest when None) has printed so far."""
        return self._logs.read(self._attempt(user, ref, attempt))

    async def follow(self, user: User, ref: str, attempt: int | None) -> AsyncIterator[LogLine | BuildStatus | None]:
        """Check, then return the lines of an attempt as they come, None in silence, and its status at the end."""
        build = self._attempt(user, ref, attempt)
        return self._logs.follow(build, lambda: self._store.attempt(build.template_id, build.attempt).status)

    def base(self, user: User, ref: str) -> Base:
        """Return the image that a create from this template starts from.

        Raises Invalid (field rootfs) while there is none, NotFound when there is no such template.
        """
        template = self._store.find(user.id, ref)
        found = base_by_digest(template.name, template.digest, self._cache) if template.digest else None
        if found:
            return found
        if template.digest:
            reason, hint = f"the image of the template {template.name} is gone", "submit its Dockerfile again"
        else:
            reason, hint = f"the template {template.name} is {template.status}", f"see template logs {template.name}"
        raise Invalid(reason, hint=hint, field="rootfs")

    def resume(self) -> None:
        """Begin the builds again that waited or were cut off when the last daemon ended; remove logs that it left."""
        self._logs.keep_only(self._store.ids())
        for build in self._store.unfinished():
            if build.status is BuildStatus.BUILDING:
                self._logs.open(build)("createosd was stopped during the build: it begins again")
            self._start(build)

    def _offered(self, name: str) -> Builder:
        if found := self._builders.get(name):
            return found
        reason = f"unknown builder: {name[:80]}"
        raise Invalid(reason, hint=f"choose one of: {', '.join(self._builders)}", field="builder")

    def _attempt(self, user: User, ref: str, attempt: int | None) -> Build:
        template = self._store.find(user.id, ref)
        return self._store.latest(template.id) if attempt is None else self._store.attempt(template.id, attempt)

    def _checked(self, text: str) -> tuple[Dockerfile, Sequence[Base]]:
        try:
            dockerfile = check(text, self._catalog.built())
        except ImageError as exc:
            raise Invalid(exc.reason, hint=exc.hint, field="dockerfile") from exc
        return dockerfile, [self._catalog.base(name) for name in dockerfile.images if name != SCRATCH]

    async def _known_result(self, key: str) -> Result | None:
        known = self._store.result_of(key)
        there = known is not None and await asyncio.to_thread(keep, self._cache, known.digest)
        return known if there else None

    def _start(self, build: Build) -> None:
        key = (build.template_id, build.attempt)
        if key not in self._running:
            task = self._background.start(f"build {build.template_id}", self._run(build))
            self._running[key] = task
            task.add_done_callback(lambda _: self._running.pop(key, None))

    async def _run(self, build: Build) -> None:
        async with self._places:
            if not await self._store.begin(build):
                return
            say = self._logs.open(build)
            try:
                dockerfile, bases = self._checked(build.dockerfile)
                builder = self._offered(build.builder or self._builder)
                base = await builder.build(build.template_id, dockerfile, bases, say)
            except EngineError as exc:
                say(f"error: {exc.reason}")
                await self._store.finish(build, reason=exc.reason)
                log.info("build failed", template=build.template_id, attempt=build.attempt, reason=exc.reason)
            except asyncio.CancelledError:
                await self._cancelled(build, say)
                raise
            else:
                await self._store.finish(build, result=Result(base.digest, base.size_bytes))
                log.info("build ready", template=build.template_id, attempt=build.attempt, digest=base.digest)
            finally:
                self._logs.finished(build)

    async def _cancelled(self, build: Build, say: Callable[[str], None]) -> None:
        """Tell a build that its template was removed from one that the next daemon begins again."""
        if self._store.get(build.template_id).deleted:
            say("the template was removed: the build was stopped")
            await self._store.finish(build, reason="the template was removed")
