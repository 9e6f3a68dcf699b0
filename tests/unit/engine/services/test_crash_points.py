"""The daemon, and QEMU, may die at any moment of any operation: nothing is lost, nothing is left, nothing is mixed up.

The moments come from the code: every step it names, every commit, every change of the host. At each a photograph is
taken of all that outlives the daemon, and afterwards each photograph is what a new daemon starts on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory

import pytest
from createos_engine.errors import EngineError
from createos_engine.services.plan import Plan
from createos_engine.services.steps import Step
from createos_engine.words import Sandbox, State

from tests.fakes.crash_census import end, strangers, wrong
from tests.fakes.crash_scenarios import SCENARIOS
from tests.fakes.crash_world import CrashWorld, Photo

everywhere = pytest.mark.parametrize("name", SCENARIOS)


class Album:
    """The photographs of every scenario, taken once; of moments that left the same behind there is one."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.moments: set[str] = set()
        self.before: dict[str, tuple[Photo, Sandbox | None]] = {}
        self._photos: dict[str, list[Photo]] = {}

    async def of(self, name: str) -> list[Photo]:
        """Return a photograph of every moment of a scenario's operation."""
        if name not in self._photos:
            self._photos[name] = await self._take(name)
        return self._photos[name]

    async def _take(self, name: str) -> list[Photo]:
        prepare, operate = SCENARIOS[name]
        rmtree(self.directory, ignore_errors=True)
        world, photos, numbers = await CrashWorld(self.directory).open(), list[Photo](), count()
        await world.start()

        def take(moment: str) -> None:
            assert strangers(world) == [], moment
            self.moments.add(moment)
            photo = Photo.take(next(numbers), moment, self.directory, world.state)
            if not photos or not photo.shows_the_same_as(photos[-1]):
                photos.append(photo)

        box = await prepare(world)
        self.before[name] = Photo.take(-1, "before", self.directory, world.state), box
        world.come_by = take
        await operate(world, box)
        await world.close()
        return photos


@pytest.fixture(scope="module")
def album() -> Iterator[Album]:
    """In memory: hundreds of engines are started here, and none of them needs its files to outlive a power failure."""
    with TemporaryDirectory(dir="/dev/shm") as directory:
        yield Album(Path(directory) / "state")


@everywhere
@pytest.mark.parametrize("qemu_dies", [False, True], ids=["daemon", "daemon and QEMU"])
async def test_a_new_daemon_puts_everything_in_order(name: str, qemu_dies: bool, album: Album) -> None:
    photos = await album.of(name)

    assert photos
    for photo in photos:
        world = await CrashWorld(album.directory, photo.restore(album.directory)).open()
        if qemu_dies:
            world.state.machines.clear()
        await world.start()
        where = f"{name}, {photo.number}: {photo.moment}"
        assert wrong(world, memory_safe=not qemu_dies) == [], where
        assert await world.reconciler.run() == Plan(), where
        assert await end(world) == [], where
        await world.close()


@everywhere
async def test_qemu_may_die_while_the_daemon_goes_on(name: str, album: Album) -> None:
    _, operate = SCENARIOS[name]
    for photo in await album.of(name):
        before, box = album.before[name]
        world = await CrashWorld(album.directory, before.restore(album.directory)).open()
        await world.start()
        world.come_by = _Strike(photo.number, world.hypervisor.kill_all)
        with suppress(EngineError):
            await operate(world, box)
        await world.settle()
        await world.reconciler.run()
        await world.settle()
        where = f"{name}, {photo.number}: {photo.moment}"
        assert wrong(world, memory_safe=False) == [], where
        assert await end(world) == [], where
        await world.close()


@everywhere
async def test_a_reconcile_in_the_middle_changes_nothing(name: str, album: Album) -> None:
    """It must not take an operation that has just begun for one that a dead daemon left."""
    _, operate = SCENARIOS[name]
    ends = []
    commits = sum(photo.moment == "row committed" for photo in await album.of(name))
    for number in range(commits + 1):
        before, box = album.before[name]
        world = await CrashWorld(album.directory, before.restore(album.directory)).open()
        await world.start()
        world.come_by = _Strike(
            number, lambda world=world: world.background.start("reconcile", world.reconciler.run()), "row committed"
        )
        await operate(world, box)
        ends.append(sorted((row.state, row.reason) for row in world.rows()))
        await world.close()

    assert ends == [ends[-1]] * (commits + 1)


async def test_a_full_disk_ends_a_pause_and_nothing_else(album: Album) -> None:
    rmtree(album.directory, ignore_errors=True)
    world = await CrashWorld(album.directory).open()
    await world.start()
    box = await world.box()
    world.hypervisor.disk_is_full = True

    await world.pause(box)

    after = world.store.get(box.id)
    assert (after.state, "No space left on device" in after.reason) == (State.RUNNING, True)
    assert wrong(world, memory_safe=True) == []
    assert await end(world) == []
    await world.close()


@pytest.mark.parametrize("changed", ["QEMU", "base image"])
async def test_an_image_of_another_world_is_refused_with_the_way_out(changed: str, album: Album) -> None:
    before, box = (await album.of("resume"), album.before["resume"])[1]
    world = await CrashWorld(album.directory, before.restore(album.directory)).open()
    await world.start()
    assert box
    if changed == "QEMU":
        world.hypervisor.version = "8.2.0"
    else:
        await world.change_base(box, "f" * 64)

    await world.resume(box)

    after = world.store.get(box.id)
    was, now = {"QEMU": ("7.2.22", "8.2.0"), "base image": ("0" * 12, "f" * 12)}[changed]
    assert (after.state, after.has_memory) == (State.ERROR, True)
    assert f"it was made with {changed} {was}, and now there is {now}; resume --cold boots the disk" in after.reason
    await world.resume(box, cold=True)
    assert world.store.state(box.id) is State.RUNNING
    assert wrong(world, memory_safe=True) == []
    await world.close()


async def test_every_step_that_the_code_names_is_among_the_moments(album: Album) -> None:
    """Those of golden snapshots and of machines that stand by have their own tests."""
    for name in SCENARIOS:
        await album.of(name)

    named = {step.value for step in Step if not step.startswith(("golden.", "standby."))}
    assert named - album.moments == set()


class _Strike:
    """Does something at one of many moments, or of many that are called alike."""

    def __init__(self, moments_before: int, action: Callable[[], object], only: str = "") -> None:
        self._left = moments_before
        self._action = action
        self._only = only

    def __call__(self, moment: str) -> None:
        if self._only not in ("", moment):
            return
        if self._left == 0:
            self._action()
        self._left -= 1
