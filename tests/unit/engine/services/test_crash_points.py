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
from createos_engine.drivers import qcow2
from createos_engine.drivers.libvirt.savefile import HEADER_BYTES, decode
from createos_engine.errors import EngineError
from createos_engine.services.plan import Plan
from createos_engine.services.steps import Step
from createos_engine.words import Sandbox, State

from tests.fakes.crash_scenarios import SCENARIOS
from tests.fakes.crash_world import CrashWorld, Photo
from tests.fakes.qcow2_files import words

FIRST = b"first "
SETTLED = frozenset({State.RUNNING, State.PAUSED, State.ERROR, State.FAILED, State.DESTROYED})
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
            assert _strangers(world) == [], moment
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
        assert _wrong(world, memory_safe=not qemu_dies) == [], where
        assert await world.reconciler.run() == Plan(), where
        assert await _end(world) == [], where
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
        assert _wrong(world, memory_safe=False) == [], where
        assert await _end(world) == [], where
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
    assert _wrong(world, memory_safe=True) == []
    assert await _end(world) == []
    await world.close()


async def test_every_step_that_the_code_names_is_among_the_moments(album: Album) -> None:
    for name in SCENARIOS:
        await album.of(name)

    assert {step.value for step in Step} - album.moments == set()


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


def _strangers(world: CrashWorld) -> list[str]:
    """Return the guests behind an open link that do not know (yet) who they are."""
    open_ids = {row.id for row in world.rows() if world.state.links.get(row.slot)}
    guests = world.state.machines.values()
    return [one.sandbox_id for one in guests if one.sandbox_id in open_ids and one.believes != one.sandbox_id]


def _wrong(world: CrashWorld, *, memory_safe: bool) -> list[str]:
    """Return what is not as the rows say, and what is there that no row owns."""
    rows, found = world.rows(), _strangers(world)
    for row in rows:
        found += [f"{row.name}: {said}" for said in _of_row(world, row, memory_safe)]
    kept = {row.id for row in rows if row.state not in (State.FAILED, State.DESTROYED)}
    running = {row.id for row in rows if row.state is State.RUNNING}
    guests = {one.sandbox_id for one in world.state.machines.values()}
    slots = {row.slot for row in rows if row.id in running}
    snapshots = {entry.name for entry in world.paths.snapshots.iterdir()}
    found += [f"machines of {guests ^ running}"] if guests != running else []
    found += [f"links {world.state.links} for {slots}"] if world.state.links != dict.fromkeys(slots, True) else []
    found += [f"directories {names - kept}"] if (names := _names(world.paths.sandboxes)) - kept else []
    owners = {row.id for row in rows if row.has_memory and row.id in kept}
    found += [f"snapshots {snapshots ^ owners}"] if snapshots != owners else []
    needed = {path.stem for top in _tops(world) for path in (top, *qcow2.chain(top))}
    layers = {path.stem for path in world.paths.layers.iterdir()}
    found += [f"layers {layers - needed}"] if layers - needed else []
    return found


def _of_row(world: CrashWorld, row: Sandbox, memory_safe: bool) -> list[str]:
    if row.state not in SETTLED:
        return [f"is {row.state}"]
    if row.state in (State.FAILED, State.DESTROYED):
        return []
    overlay = world.paths.sandbox(row.id).overlay
    if not overlay.exists():
        # A fork whose memory was not even linked has nothing that is not its source's.
        return [] if row.state is State.ERROR and row.forked_from and not row.has_memory else ["has no disk"]
    disk = words(overlay)
    if row.state is State.RUNNING:
        guest = world.state.machines.get(world.machines.name(row.id))
        if guest is None or guest.stopped or not world.agents.connected(row.id):
            return ["has no guest that answers"]
        return [] if guest.memory == disk else [f"memory {guest.memory!r} on disk {disk!r}"]
    if not row.has_memory:
        return ["lost its memory"] if memory_safe and not row.forked_from else []
    memory = _memory(world, row)
    return [] if memory == disk else [f"image {memory!r} on disk {disk!r}"]


def _memory(world: CrashWorld, row: Sandbox) -> bytes:
    content = world.snapshots.open(row.id).memory.path.read_bytes()
    return content[HEADER_BYTES + decode(content).data_bytes :]


def _tops(world: CrashWorld) -> list[Path]:
    layers = [world.snapshots.open(name).layer for name in world.snapshots.ids()]
    return [
        *world.paths.sandboxes.glob("*/overlay.qcow2"),
        *(world.paths.layer(layer) for layer in layers if layer),
    ]


async def _end(world: CrashWorld) -> list[str]:
    """Resume everything that can be, look at what was written, remove it all, and return what is wrong."""
    found = []
    for row in world.rows():
        has_disk = world.paths.sandbox(row.id).overlay.exists()
        if row.state in (State.PAUSED, State.ERROR) and has_disk:
            await world.resume(row)
            if world.store.state(row.id) is not State.RUNNING:
                found.append(f"{row.name} cannot be resumed: {world.store.get(row.id).reason}")
            elif row.id in _wrote(world) and not words(world.paths.sandbox(row.id).overlay).startswith(FIRST):
                found.append(f"{row.name} lost what it wrote")
    for row in world.rows():
        await world.sandboxes.delete(world.user, row.id)
        await world.settle()
    left = [*world.paths.sandboxes.iterdir(), *world.paths.snapshots.iterdir(), *world.paths.layers.iterdir()]
    return found + [str(path) for path in left] + list(world.state.machines) + list(map(str, world.state.links))


def _wrote(world: CrashWorld) -> set[str]:
    return {row.id for row in world.rows() if row.has_memory or row.forked_from}


def _names(directory: Path) -> set[str]:
    return {entry.name for entry in directory.iterdir()}
