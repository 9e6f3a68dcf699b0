"""What must hold after a crash: rows and host agree, memory and disk are a pair, nothing is left over."""

from __future__ import annotations

from pathlib import Path

from createos_engine.drivers import qcow2
from createos_engine.drivers.libvirt.savefile import HEADER_BYTES, decode
from createos_engine.words import Sandbox, State

from tests.fakes.crash_world import CrashWorld
from tests.fakes.qcow2_files import words

FIRST = b"first "
_SETTLED = frozenset({State.RUNNING, State.PAUSED, State.ERROR, State.FAILED, State.DESTROYED})


def strangers(world: CrashWorld) -> list[str]:
    """Return the guests behind an open link that do not know (yet) who they are."""
    open_ids = {row.id for row in world.rows() if world.state.links.get(row.slot)}
    guests = world.state.machines.values()
    return [one.sandbox_id for one in guests if one.sandbox_id in open_ids and one.believes != one.sandbox_id]


def wrong(world: CrashWorld, *, memory_safe: bool) -> list[str]:
    """Return what is not as the rows say, and what is there that no row owns."""
    rows, found = world.rows(), strangers(world)
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
    owners = {row.id for row in rows if row.has_memory and row.id in kept} | world.named.ids(complete=True)
    found += [f"unfinished checkpoints {unfinished}"] if (unfinished := world.named.ids(complete=False)) else []
    found += [f"snapshots {snapshots ^ owners}"] if snapshots != owners else []
    needed = {path.stem for top in _tops(world) for path in (top, *qcow2.chain(top))}
    layers = {path.stem for path in world.paths.layers.iterdir()}
    found += [f"layers {layers - needed}"] if layers - needed else []
    return found


def _of_row(world: CrashWorld, row: Sandbox, memory_safe: bool) -> list[str]:
    if row.state not in _SETTLED:
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


async def end(world: CrashWorld) -> list[str]:
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
    for checkpoint_id in world.named.ids(complete=True):
        await world.checkpoints.delete(world.user, checkpoint_id)
    for row in world.rows():
        await world.sandboxes.delete(world.user, row.id)
        await world.settle()
    left = [*world.paths.sandboxes.iterdir(), *world.paths.snapshots.iterdir(), *world.paths.layers.iterdir()]
    return found + [str(path) for path in left] + list(world.state.machines) + list(map(str, world.state.links))


def _wrote(world: CrashWorld) -> set[str]:
    return {row.id for row in world.rows() if row.has_memory or row.forked_from}


def _names(directory: Path) -> set[str]:
    return {entry.name for entry in directory.iterdir()}
