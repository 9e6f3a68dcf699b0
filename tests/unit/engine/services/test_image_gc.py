"""Which images of a shared cache may go, and that none goes while anybody may still need it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from createos_engine.errors import HostFailed
from createos_engine.instance import make_directories
from createos_engine.paths import Paths
from createos_engine.services.image_gc import collect, keep, register
from createos_engine.store.accounts import AccountStore
from createos_engine.store.database import Database
from createos_engine.store.sandboxes import SandboxStore
from createos_engine.store.templates import Result, TemplateStore
from createos_engine.template_words import NewTemplate
from createos_images.cache import Cache

from tests.fakes.moments import Moments
from tests.fakes.qcow2_files import FakeDisks
from tests.fakes.rows import sandbox

DAY_S = 86_400.0


class World:
    """A cache, and engines that use it."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.cache = Cache(place / "cache")
        self.cache.bases.mkdir(parents=True)

    def image(self, digest: str, *, days: float = 30) -> Path:
        path = self.cache.bases / f"{digest}.raw"
        path.write_text(digest)
        path.with_suffix(".json").write_text("{}")
        then = path.stat().st_mtime - days * DAY_S
        os.utime(path, (then, then))
        return path

    def engine(self, name: str) -> Paths:
        paths = Paths(self.place / name, self.place / "run")
        make_directories(paths)
        Database(paths.database).close()
        register(self.cache, paths.state_dir)
        return paths

    def collect(self) -> list[str]:
        return collect(self.cache, self.place / "run", older_than_s=7 * DAY_S)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_an_image_that_nobody_needs_goes_with_its_description(world: World) -> None:
    image = world.image("old")
    world.engine("ab12")

    assert world.collect() == ["old"]
    assert not image.exists()
    assert not image.with_suffix(".json").exists()


def test_an_image_with_a_name_stays(world: World) -> None:
    world.image("old")
    world.cache.names.write_text('{"busybox:1": "old"}')

    assert world.collect() == []


def test_an_image_that_somebody_touched_lately_stays(world: World) -> None:
    world.image("new", days=6)

    assert world.collect() == []


async def test_images_of_any_engine_s_sandboxes_and_templates_stay(world: World) -> None:
    for digest in ("sandbox", "template", "layer", "old"):
        world.image(digest)
    world.engine("ab12")
    paths = world.engine("cd34")
    database = Database(paths.database)
    user = await AccountStore(database).by_uid(0, "root")
    await SandboxStore(database).insert(
        sandbox(user_id=user.id, base_digest="sandbox"), capacity=10, address=lambda _slot: "10.77.0.2"
    )
    templates = TemplateStore(database)
    template = await templates.submit(user, NewTemplate("mine", "FROM busybox:1"), base="busybox:1", result_key="k")
    await templates.finish(templates.latest(template.id), result=Result("template", 1))
    database.close()
    await FakeDisks(Moments(lambda _: None)).create_overlay(
        world.cache.bases / "layer.raw", paths.layers / "frozen.qcow2", 1
    )

    assert world.collect() == ["old"]


def test_where_an_engine_cannot_be_asked_nothing_goes(world: World) -> None:
    world.image("old")
    world.engine("ab12").database.write_text("no database")

    with pytest.raises(HostFailed, match="cannot be asked"):
        world.collect()
    assert (world.cache.bases / "old.raw").exists()


def test_where_a_frozen_disk_cannot_be_read_nothing_goes(world: World) -> None:
    world.image("old")
    (world.engine("ab12").layers / "frozen.qcow2").write_bytes(b"damaged")

    with pytest.raises(HostFailed, match="cannot be asked"):
        world.collect()


def test_an_engine_whose_directory_was_removed_holds_nothing(world: World) -> None:
    world.image("old")
    paths = world.engine("ab12")
    paths.state_dir.rename(world.place / "elsewhere")

    assert world.collect() == ["old"]


def test_an_image_that_is_used_again_stays_and_one_that_is_gone_is_said_so(world: World) -> None:
    world.image("old")

    assert keep(world.cache, "old")
    assert world.collect() == []
    assert not keep(world.cache, "never")


def test_a_cache_that_cannot_be_read_is_a_sentence(world: World) -> None:
    world.image("old")
    (world.cache.root / "engines").mkdir()
    (world.cache.root / "engines" / "ab12").write_bytes(b"\xff")

    with pytest.raises(HostFailed, match="cannot be cleared"):
        world.collect()
