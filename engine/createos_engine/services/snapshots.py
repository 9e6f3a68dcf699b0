"""Snapshots on disk: written beside their place, made durable, then moved there in one step."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from createos_engine.drivers.durable import sync
from createos_engine.drivers.hypervisor import Hypervisor, MemoryImage, UnusableImage
from createos_engine.drivers.libvirt.pipe import CHUNK_BYTES
from createos_engine.drivers.libvirt.savefile import HEADER_BYTES, data_bytes
from createos_engine.errors import HostFailed
from createos_engine.paths import Paths
from createos_engine.services.manifests import Needs, Origin, Snapshot, read, write
from createos_engine.services.steps import Step, Steps
from createos_engine.words import Accelerator, Sandbox

# A manifest of this size is kept free for, so that a full disk is found before the machine is gone.
_MANIFEST_BYTES = 64 * 2**10
_DIGEST_TEXT_BYTES = 72


class Snapshots:
    """The directory of snapshots. Every id has at most one, and perhaps one that is being written."""

    def __init__(self, paths: Paths, hypervisor: Hypervisor, steps: Steps) -> None:
        self._paths = paths
        self._hypervisor = hypervisor
        self._steps = steps

    @property
    def directory(self) -> Path:
        """Where they are."""
        return self._paths.snapshots

    async def needs(self, sandbox: Sandbox, accelerator: Accelerator) -> Needs:
        """Return what a memory image of the sandbox has to have been made with to be of use now."""
        return Needs.of(sandbox, accelerator, await self._hypervisor.makeup(accelerator))

    def begin(self, snapshot_id: str, mem_mib: int) -> Path:
        """Make room for a new snapshot and return where the memory goes; raise HostFailed when there is none.

        One of this id that is complete goes: its machine has run on since, so it is no longer a pair with the disk.
        """
        partial = self._paths.snapshot(snapshot_id).partial
        with _files(f"the snapshot {snapshot_id} cannot be written"):
            self.remove(snapshot_id)
            partial.directory.mkdir(mode=0o700)
            room = _MANIFEST_BYTES + (mem_mib * 2**20 // CHUNK_BYTES + 1) * _DIGEST_TEXT_BYTES
            with partial.manifest.open("xb") as manifest:
                os.posix_fallocate(manifest.fileno(), 0, room)
        return partial.memory

    async def publish(
        self, snapshot_id: str, origin: Origin, needs: Needs, facts: dict[str, str], layer: str = ""
    ) -> Snapshot:
        """Make a saved memory durable and a snapshot: digests, fsync, rename, fsync. Repeatable after a crash."""
        paths = self._paths.snapshot(snapshot_id)
        if paths.manifest.exists():
            return self.open(snapshot_id)
        partial = paths.partial
        with _files(f"the snapshot {snapshot_id} could not be completed"):
            digests, _ = await asyncio.gather(
                self._hypervisor.digests(partial.memory), asyncio.to_thread(sync, partial.memory)
            )
            size = partial.memory.stat().st_size
            memory = MemoryImage(paths.memory, size, CHUNK_BYTES, digests)
            snapshot = Snapshot(snapshot_id, origin, needs, memory, layer, facts)
            self._steps.reach(Step.SNAPSHOT_SUMMED)
            with partial.manifest.open("r+b") as manifest:
                manifest.write(write(snapshot))
                manifest.truncate()
            self._steps.reach(Step.SNAPSHOT_WRITTEN)
            await asyncio.to_thread(self._move, snapshot_id)
        return snapshot

    def _move(self, snapshot_id: str) -> None:
        paths = self._paths.snapshot(snapshot_id)
        for path in (paths.partial.manifest, paths.partial.directory):
            sync(path)
        shutil.rmtree(paths.directory, ignore_errors=True)
        paths.partial.directory.rename(paths.directory)
        sync(self._paths.snapshots)

    def open(self, snapshot_id: str) -> Snapshot:
        """Return a snapshot by its manifest; raise UnusableImage. The memory itself is verified when it is used."""
        paths = self._paths.snapshot(snapshot_id)
        try:
            return read(paths.manifest.read_bytes(), paths.memory)
        except OSError as exc:
            raise UnusableImage(f"its manifest cannot be read: {exc.strerror}") from exc

    def link(self, source: Snapshot, snapshot_id: str) -> Snapshot:
        """Give another id the same memory and disk: a link, not a copy."""
        paths, copy = self._paths.snapshot(snapshot_id), replace(source, id=snapshot_id)
        copy = replace(copy, memory=replace(copy.memory, path=paths.memory))
        with _files(f"the snapshot {snapshot_id} cannot be written"):
            self.discard_partial(snapshot_id)
            paths.partial.directory.mkdir(mode=0o700)
            os.link(source.memory.path, paths.partial.memory)
            paths.partial.manifest.write_bytes(write(copy))
            self._move(snapshot_id)
        return copy

    def set_layer(self, snapshot: Snapshot, layer: str) -> Snapshot:
        """Write down that the disk of a snapshot is a frozen one now."""
        changed = replace(snapshot, layer=layer)
        manifest = self._paths.snapshot(snapshot.id).manifest
        fresh = manifest.with_suffix(".new")
        with _files(f"the snapshot {snapshot.id} cannot be written"):
            fresh.write_bytes(write(changed))
            sync(fresh)
            fresh.replace(manifest)
            sync(manifest.parent)
        return changed

    def saved(self, snapshot_id: str) -> bool:
        """Tell whether there is a memory that was written to its end, published or not."""
        paths = self._paths.snapshot(snapshot_id)
        if paths.manifest.exists():
            return True
        try:
            with paths.partial.memory.open("rb") as memory:
                return bool(data_bytes(memory.read(HEADER_BYTES)))
        except (OSError, UnusableImage):
            return False

    def ids(self) -> frozenset[str]:
        """Return the ids of the snapshots that are complete."""
        return frozenset(entry.name for entry in self._paths.snapshots.iterdir() if entry.suffix != ".partial")

    def partials(self) -> frozenset[str]:
        """Return the ids of those that are being written, or never were finished."""
        return frozenset(entry.stem for entry in self._paths.snapshots.iterdir() if entry.suffix == ".partial")

    def discard_partial(self, snapshot_id: str) -> None:
        """Remove one that was being written."""
        shutil.rmtree(self._paths.snapshot(snapshot_id).partial.directory, ignore_errors=True)

    def remove(self, snapshot_id: str) -> None:
        """Remove a snapshot, finished or not; what is gone already is fine.

        It is moved aside first: what is left of one that is half removed looks like nothing but a leftover.
        """
        paths = self._paths.snapshot(snapshot_id)
        self.discard_partial(snapshot_id)
        if paths.directory.exists():
            paths.directory.rename(paths.partial.directory)
            self.discard_partial(snapshot_id)


@contextmanager
def _files(doing: str) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise HostFailed(f"{doing}: {exc.strerror}", hint="free some space in the state directory") from exc
