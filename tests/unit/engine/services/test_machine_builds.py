"""Builds in machines: what a guest says of the disk it has written is compared, and nothing of a machine stays."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from createos_engine.drivers.channel.build import Config, Result
from createos_engine.drivers.hypervisor import DataDisk
from createos_engine.errors import GuestFailed, HostFailed, Invalid
from createos_engine.services import machine_builds
from createos_engine.services.catalog import ImageCatalog
from createos_engine.services.machine_builds import MachineBuilder
from createos_engine.settings import Settings
from createos_engine.words import Sandbox
from createos_images import ext4
from createos_images.builder import Base, store_tree
from createos_images.cache import Cache
from createos_images.catalog import BUILDER
from createos_images.dockerfile import check
from createos_images.progress import silent
from createos_images.recipe import ImageConfig

TEMPLATE = "tpl_01K5ZQ7M3V8W2X4Y6Z9ABCDEFG"
FILE = check("FROM busybox:1\nRUN true\n", {"busybox:1"})


class Machines:
    """Machines that write *image* to their result disk as soon as they have booted."""

    def __init__(self, image: bytes) -> None:
        self.image = image
        self.there: set[str] = set()
        self.disks: list[DataDisk] = []

    async def boot_blank(self, blank: Sandbox, *_: object, disks: Sequence[DataDisk], **__: object) -> None:
        self.there.add(blank.id)
        self.disks = list(disks)
        with disks[0].file.open("r+b") as file:
            file.write(self.image)

    async def remove(self, blank: Sandbox) -> None:
        self.there.discard(blank.id)

    async def erase(self, sandbox_id: str) -> None:
        pass


class World:
    """A builder whose guest gives *result*; `builder` builds."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cache = Cache(place / "cache")
        tree = place / "tree"
        tree.mkdir()
        (tree / "file").write_text("content")
        self.base = store_tree("busybox:1", tree, ImageConfig(), self.cache, silent)
        store_tree(BUILDER, tree, ImageConfig(), self.cache, silent)
        self.machines = Machines(self.base.path.read_bytes())
        self.result = Result(size_bytes=self.base.size_bytes, config=Config(user="app"), reason="", hint="")
        self.goes_on = False
        settings = Settings(
            cache_dir=self.cache.root, state_dir=place, build_quota_mib=512, build_memory_mib=64, build_timeout_s=20
        )
        monkeypatch.setattr(machine_builds, "run_build", self._run)
        monkeypatch.setattr(machine_builds, "require_memory", lambda *_, **__: None)
        monkeypatch.setattr(machine_builds, "require_space", lambda *_: None)
        self.builder = MachineBuilder(
            cast("Any", self.machines),
            cast("Any", SimpleNamespace(give=self._nothing)),
            cast("Any", SimpleNamespace(connect_build=self._nothing)),
            cast("Any", SimpleNamespace(hold=self._slot)),
            ImageCatalog(self.cache.root, "busybox:1"),
            cast("Any", SimpleNamespace(require_files=lambda: None)),
            settings,
        )

    async def build(self) -> Base:
        return await self.builder.build(TEMPLATE, FILE, [self.base], lambda _line: None)

    def leftovers(self) -> list[str]:
        return [entry.name for entry in self.cache.bases.iterdir() if entry.is_dir()]

    async def _run(self, *_: object) -> Result:
        if self.goes_on:
            await asyncio.Event().wait()
        return self.result

    async def _nothing(self, *_: object) -> None:
        pass

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[int]:
        yield 1


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(os, "chown", lambda *_: None)
    return World(tmp_path, monkeypatch)


async def test_what_the_machine_has_written_is_the_image_and_the_machine_is_gone(world: World) -> None:
    built = await world.build()

    assert (built.digest, built.size_bytes, built.config.user) == (world.base.digest, world.base.size_bytes, "app")
    assert [(disk.serial, disk.readonly) for disk in world.machines.disks] == [("result", False), ("base-0", True)]
    assert (world.machines.there, world.leftovers(), world.builder.guests) == (set(), [], frozenset())


@pytest.mark.parametrize("off_by", [-4096, 4096, 2**40])
async def test_a_guest_that_lies_about_the_size_gives_no_image(world: World, off_by: int) -> None:
    world.result = world.result.model_copy(update={"size_bytes": world.base.size_bytes + off_by})

    with pytest.raises(HostFailed, match="left no file system"):
        await world.build()
    assert world.leftovers() == []


async def test_a_file_system_that_is_larger_than_its_disk_is_none(world: World) -> None:
    image = bytearray(world.machines.image)
    image[1024 + 4 : 1024 + 8] = (2**28).to_bytes(4, "little")
    world.machines.image = bytes(image)
    world.result = world.result.model_copy(update={"size_bytes": 2**28 * ext4.BLOCK})

    with pytest.raises(HostFailed, match="left no file system"):
        await world.build()


async def test_the_reason_of_a_failed_step_is_that_of_the_build(world: World) -> None:
    world.result = Result(size_bytes=0, config=Config(), reason="the step RUN false failed with exit code 1", hint="")

    with pytest.raises(HostFailed, match="the step RUN false failed"):
        await world.build()
    assert world.machines.there == set()


async def test_a_build_that_is_stopped_ends_its_machine(world: World) -> None:
    world.goes_on = True
    build = asyncio.ensure_future(world.build())
    while not world.machines.there:
        await asyncio.sleep(0)
    assert world.builder.guests == world.machines.there
    build.cancel()
    await asyncio.gather(build, return_exceptions=True)

    assert (world.machines.there, world.leftovers(), world.builder.guests) == (set(), [], frozenset())


async def test_a_guest_that_fails_is_a_failed_build_without_a_machine(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> Result:
        raise GuestFailed("the build was stopped before it ended")

    monkeypatch.setattr(machine_builds, "run_build", fail)
    with pytest.raises(GuestFailed):
        await world.build()
    assert world.machines.there == set()


async def test_without_the_image_to_build_in_the_command_that_makes_it_is_named(world: World) -> None:
    world.cache.names.unlink()

    with pytest.raises(Invalid, match="the builder vm needs builder:1") as refused:
        await world.builder.require(FILE)

    assert refused.value.field == "builder"
    assert "createos_images build builder:1" in refused.value.hint


async def test_a_file_that_needs_more_images_than_a_machine_has_disks_for_is_refused(world: World) -> None:
    names = [f"i{number}:1" for number in range(7)]
    text = "".join(f"FROM {name}\n" for name in names)

    with pytest.raises(Invalid, match="at most 6 images"):
        await world.builder.require(check(text, names))
