"""Templates over a real store and real logs; the builder is a few words this file knows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from createos_engine.errors import HostFailed, Invalid, NotFound
from createos_engine.paths import Paths
from createos_engine.services.background import Background
from createos_engine.services.build_log import BuildLogs
from createos_engine.services.catalog import ImageCatalog
from createos_engine.services.templates import Templates
from createos_engine.store.accounts import AccountStore
from createos_engine.store.database import Database
from createos_engine.store.templates import TemplateStore
from createos_engine.template_words import BuildStatus, LogLine, NewTemplate, Template
from createos_engine.words import Page, User
from createos_images.builder import Base, adopt_base, store_tree
from createos_images.cache import Cache
from createos_images.dockerfile import Dockerfile
from createos_images.progress import silent
from createos_images.recipe import ImageConfig

GOOD = "FROM busybox:1\nRUN true\n"
PATIENCE_S = 10


class FakeBuilder:
    """Makes a base of a few bytes; a file with `RUN false` fails, one with `RUN wait` goes on until `go`."""

    def __init__(self, cache: Cache, place: Path) -> None:
        self._cache = cache
        self._place = place
        self.begun: list[str] = []
        self.cancelled: list[str] = []
        self.most_at_once = 0
        self.go = asyncio.Event()

    async def require(self, dockerfile: Dockerfile) -> None:
        """Refuse one line, as a service may."""
        if "RUN --mount" in dockerfile.text:
            raise Invalid("line 2: RUN --mount is not known", field="dockerfile")

    async def build(self, name: str, dockerfile: Dockerfile, bases: Sequence[Base], say: Callable[[str], None]) -> Base:
        """Play."""
        self.begun.append(name)
        self.most_at_once = max(self.most_at_once, len(self.begun) - len(self.cancelled))
        say("STEP 1")
        try:
            if "RUN wait" in dockerfile.text:
                await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled.append(name)
            raise
        if "RUN false" in dockerfile.text:
            raise HostFailed("the step RUN false failed with exit code 1")
        raw = self._place / f"{len(self.begun)}.raw"
        raw.write_text(dockerfile.text)
        return adopt_base(name, raw, 2**20, {"env": {"A": "b"}}, self._cache)


@dataclass
class World:
    templates: Templates
    store: TemplateStore
    builder: FakeBuilder
    in_machine: FakeBuilder
    user: User
    again: Callable[[], Templates]

    async def submit(self, name: str, text: str = GOOD, *, builder: str = "") -> Template:
        return await self.templates.submit(self.user, NewTemplate(name, text, builder))

    async def ended(self, name: str) -> Template:
        """Wait until the latest build has ended."""
        async with asyncio.timeout(PATIENCE_S):
            async for event in await self.templates.follow(self.user, name, None):
                if isinstance(event, BuildStatus):
                    break
        return await self.templates.get(self.user, name)


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    cache = Cache(tmp_path / "cache")
    monkeypatch.setattr("createos_images.ext4.make_base", lambda _tree, out: out.write_text("base") and 2**20)
    tree = tmp_path / "tree"
    tree.mkdir()
    store_tree("busybox:1", tree, ImageConfig(), cache, silent)
    database = Database(tmp_path / "engine.db")
    user = await AccountStore(database).by_uid(0, "root")
    background = Background()
    store, builder, in_machine = TemplateStore(database), FakeBuilder(cache, tmp_path), FakeBuilder(cache, tmp_path)
    paths = Paths(tmp_path, tmp_path)

    def make() -> Templates:
        catalog = ImageCatalog(cache.root, "busybox:1")
        builders = {"buildah": builder, "vm": in_machine}
        logs = BuildLogs(paths)
        return Templates(store, catalog, builders, logs, background, cache.root, builder="buildah", builds_at_once=2)

    yield World(make(), store, builder, in_machine, user, make)
    await background.close()
    database.close()


async def test_a_build_ends_in_an_image_that_creates_can_start_from(world: World) -> None:
    submitted = await world.submit("mine")
    ready = await world.ended("mine")

    assert (submitted.status, submitted.attempt) == (BuildStatus.PENDING, 1)
    assert (ready.status, ready.size_bytes, ready.base) == (BuildStatus.READY, 2**20, "busybox:1")
    assert world.templates.base(world.user, "mine").config.env == {"A": "b"}
    assert world.templates.base(world.user, ready.id).name == "mine"


async def test_a_build_is_by_the_builder_that_was_asked_for_else_by_that_of_the_engine(world: World) -> None:
    await world.submit("one")
    await world.submit("two", f"{GOOD}# another\n", builder="vm")

    assert ((await world.ended("one")).builder, (await world.ended("two")).builder) == ("buildah", "vm")
    assert (len(world.builder.begun), len(world.in_machine.begun)) == (1, 1)


async def test_an_unknown_builder_is_refused_before_anything_is_stored(world: World) -> None:
    with pytest.raises(Invalid, match="unknown builder: oven") as refused:
        await world.submit("mine", builder="oven")

    assert (refused.value.field, refused.value.hint) == ("builder", "choose one of: buildah, vm")
    assert await world.templates.list(world.user, Page()) == ([], 0)


async def test_a_build_begins_again_by_the_same_builder(world: World) -> None:
    submitted = await world.submit("mine", "FROM busybox:1\nRUN wait\n", builder="vm")
    world.templates = world.again()
    world.templates.resume()
    world.in_machine.go.set()
    await world.ended("mine")

    assert set(world.in_machine.begun) == {submitted.id}
    assert not world.builder.begun


async def test_a_failed_build_says_which_step_and_leaves_the_older_image_in_use(world: World) -> None:
    await world.submit("mine")
    older = await world.ended("mine")
    await world.submit("mine", "FROM busybox:1\nRUN false\n")
    failed = await world.ended("mine")

    assert (failed.status, failed.attempt) == (BuildStatus.FAILED, 2)
    assert failed.reason == "the step RUN false failed with exit code 1"
    assert world.templates.base(world.user, "mine").digest == older.digest


async def test_a_template_without_an_image_cannot_be_created_from(world: World) -> None:
    await world.submit("mine", "FROM busybox:1\nRUN false\n")
    await world.ended("mine")

    with pytest.raises(Invalid, match="is failed") as refused:
        world.templates.base(world.user, "mine")

    assert refused.value.field == "rootfs"


async def test_the_same_file_is_not_built_twice(world: World) -> None:
    await world.submit("one")
    await world.ended("one")
    again = await world.submit("two")

    assert again.status is BuildStatus.READY
    assert len(world.builder.begun) == 1


@pytest.mark.parametrize("text", ["FROM alpine\n", "FROM busybox:1\nCOPY . /\n"])
async def test_a_file_that_cannot_be_built_leaves_nothing(world: World, text: str) -> None:
    with pytest.raises(Invalid) as refused:
        await world.submit("mine", text)

    assert refused.value.field == "dockerfile"


async def test_what_only_this_builder_cannot_do_is_refused_before_the_build(world: World) -> None:
    with pytest.raises(Invalid, match="line 2: RUN --mount"):
        await world.submit("mounts", "FROM busybox:1\nRUN --mount=type=tmpfs,target=/t true\n")

    assert world.builder.begun == []
    assert (await world.templates.list(world.user, Page()))[1] == 0


async def test_builds_wait_for_a_place(world: World) -> None:
    for number in range(5):
        await world.submit(f"t{number}", f"FROM busybox:1\nRUN wait {number}\n")
    await asyncio.sleep(0.05)
    begun = len(world.builder.begun)
    world.builder.go.set()
    statuses = [(await world.ended(f"t{number}")).status for number in range(5)]

    assert begun == 2
    assert statuses == [BuildStatus.READY] * 5


async def test_removing_a_template_ends_its_build(world: World) -> None:
    template = await world.submit("mine", "FROM busybox:1\nRUN wait\n")
    await asyncio.sleep(0.05)
    await world.templates.delete(world.user, "mine")

    assert world.builder.cancelled == [template.id]
    assert world.store.latest(template.id).reason == "the template was removed"
    with pytest.raises(NotFound):
        await world.templates.get(world.user, "mine")


async def test_the_logs_of_a_template_that_was_removed_are_gone_also_after_a_daemon_that_died_over_it(
    world: World, tmp_path: Path
) -> None:
    for name in ("mine", "other", "half-removed"):
        await world.submit(name, f"{GOOD}# {name}\n")
        await world.ended(name)
    kept = await world.templates.get(world.user, "other")
    await world.templates.delete(world.user, "mine")
    await world.store.delete((await world.templates.get(world.user, "half-removed")).id)
    world.again().resume()

    assert [entry.name for entry in Paths(tmp_path, tmp_path).build_logs.iterdir()] == [kept.id]


async def test_a_name_is_free_again_after_its_template_was_removed(world: World) -> None:
    first = await world.submit("mine")
    await world.ended("mine")
    await world.templates.delete(world.user, "mine")

    assert (await world.submit("mine")).id != first.id


async def test_what_a_dead_daemon_left_is_built_again(world: World) -> None:
    template = await world.submit("mine", "FROM busybox:1\nRUN wait\n")
    await asyncio.sleep(0.05)
    next_daemon = world.again()
    next_daemon.resume()
    world.builder.go.set()
    ready = await world.ended("mine")
    lines = [line.line for line in await next_daemon.log(world.user, "mine", None)]

    assert (ready.id, ready.status) == (template.id, BuildStatus.READY)
    assert "createosd was stopped during the build: it begins again" in lines


async def test_the_log_can_be_read_and_followed_by_attempt(world: World) -> None:
    await world.submit("mine")
    await world.ended("mine")
    await world.submit("mine", "FROM busybox:1\nRUN false\n")
    await world.ended("mine")

    first = [line.line for line in await world.templates.log(world.user, "mine", 1)]
    followed = [event async for event in await world.templates.follow(world.user, "mine", None)]

    assert first == ["STEP 1"]
    assert [event.line for event in followed if isinstance(event, LogLine)][-1].startswith("error: the step RUN false")
    assert followed[-1] is BuildStatus.FAILED
    with pytest.raises(NotFound, match="no attempt 7"):
        await world.templates.log(world.user, "mine", 7)


async def test_strangers_see_no_template(world: World) -> None:
    await world.submit("mine")
    stranger = User("usr-other", "eve", world.user.created_at)

    with pytest.raises(NotFound):
        await world.templates.get(stranger, "mine")
