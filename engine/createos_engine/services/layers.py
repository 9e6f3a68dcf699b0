"""Frozen disks. A disk is frozen by a second name for its file and an empty one on top of it in its place.

A sandbox always has the same disk path and, at every moment, the same content behind it; layers never change.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import structlog

from createos_engine.drivers import qcow2
from createos_engine.drivers.disk import Disks
from createos_engine.drivers.durable import sync
from createos_engine.errors import EngineError, HostFailed
from createos_engine.paths import Paths
from createos_engine.services.naming import layer_id
from createos_engine.services.steps import Step, Steps

log = structlog.get_logger(__name__)

DEEPEST_CHAIN = 4
# QEMU's user reads the layers of all sandboxes: the directory lets nobody else through.
_READABLE = 0o644


class Layers:
    """The frozen disks of an engine and what stands on them."""

    def __init__(self, disks: Disks, paths: Paths, steps: Steps) -> None:
        self._disks = disks
        self._paths = paths
        self._steps = steps
        # Between a layer and the first file that stands on it nobody may look for layers that nobody needs.
        self._lock = asyncio.Lock()

    async def freeze(self, sandbox_id: str) -> str:
        """Freeze the disk of a sandbox that has no machine and return the layer's id."""
        overlay, layer = self._paths.sandbox(sandbox_id).overlay, layer_id()
        async with self._lock:
            try:
                os.link(overlay, self._paths.layer(layer))
            except OSError as exc:
                raise HostFailed(f"the disk {overlay} cannot be frozen: {exc.strerror}") from exc
            await asyncio.to_thread(sync, self._paths.layers)
            self._steps.reach(Step.LAYER_LINKED)
            await self._on_layer(sandbox_id, layer)
            self._steps.reach(Step.LAYER_FROZEN)
        return layer

    async def start_over(self, sandbox_id: str, layer: str) -> None:
        """Give a sandbox an empty disk on a layer; what it had written on top of that is gone."""
        async with self._lock:
            await self._on_layer(sandbox_id, layer)

    async def _on_layer(self, sandbox_id: str, layer: str) -> None:
        """Put an empty disk in the place of the present one, in one step: there is no moment without a disk."""
        path, overlay = self._paths.layer(layer), self._paths.sandbox(sandbox_id).overlay
        fresh = overlay.with_name(f"{overlay.name}.new")
        await self._disks.create_on_layer(path, fresh)
        await asyncio.to_thread(sync, fresh)
        fresh.replace(overlay)
        for directory in (overlay.parent, overlay.parent.parent):
            await asyncio.to_thread(sync, directory)
        path.chmod(_READABLE)

    def depth(self, sandbox_id: str) -> int:
        """Return how many files are below a sandbox's disk."""
        return len(qcow2.chain(self._paths.sandbox(sandbox_id).overlay))

    async def flatten(self, sandbox_id: str) -> None:
        """Let a sandbox without a machine stand on its base image alone."""
        overlay = self._paths.sandbox(sandbox_id).overlay
        below = qcow2.chain(overlay)
        await self._disks.flatten(overlay, below[-1])
        log.info("disk flattened", sandbox=sandbox_id, layers=len(below))

    async def collect(self, kept: Iterable[str]) -> tuple[str, ...]:
        """Delete the layers that nothing stands on and return their ids; *kept* are those that snapshots name.

        A file that cannot be read may stand on any of them: nothing is deleted then.
        """
        async with self._lock:
            for unfinished in self._disks_of("overlay.qcow2.new"):
                unfinished.unlink(missing_ok=True)
            try:
                unused = self._unused(kept)
            except EngineError as exc:
                log.warning("layers are not collected", reason=exc.reason)
                return ()
            for layer in unused:
                self._paths.layer(layer).unlink(missing_ok=True)
            return unused

    def _unused(self, kept: Iterable[str]) -> tuple[str, ...]:
        layers = tuple(self._paths.layers.glob("*.qcow2"))
        if not layers:
            return ()
        needed = {self._paths.layer(layer) for layer in kept}
        tops = [*needed, *self._disks_of("overlay.qcow2")]
        for top in tops:
            needed |= set(qcow2.chain(top))
        return tuple(sorted(path.stem for path in layers if path not in needed))

    def _disks_of(self, name: str) -> Iterator[Path]:
        """Return the files of this name of all sandboxes, and of the golden snapshot that is being built."""
        for parent in (self._paths.sandboxes, self._paths.goldens):
            yield from parent.glob(f"*/{name}")
