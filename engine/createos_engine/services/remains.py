"""What is left on disk when nobody needs it any more: layers, and snapshots whose sandbox runs or is gone."""

from __future__ import annotations

import structlog

from createos_engine.drivers.hypervisor import UnusableImage
from createos_engine.services.layers import Layers
from createos_engine.services.snapshots import Snapshots
from createos_engine.store.checkpoints import CheckpointStore
from createos_engine.store.sandboxes import SandboxStore
from createos_engine.words import State

log = structlog.get_logger(__name__)

_SANDBOX = "sb-"
_CHECKPOINT = "cp-"
_WRITING = frozenset({State.PAUSING, State.FORKING, State.CREATING})


class Remains:
    """Removes what nothing can need. Whatever is not understood stays."""

    def __init__(
        self,
        store: SandboxStore,
        snapshots: Snapshots,
        layers: Layers,
        checkpoints: CheckpointStore,
    ) -> None:
        self._store = store
        self._snapshots = snapshots
        self._layers = layers
        self._checkpoints = checkpoints

    async def sweep(self, busy: frozenset[str]) -> None:
        """Remove snapshots of sandboxes that have none, and checkpoints that were never finished.

        *busy* are those that an operation has in hand.
        """
        for checkpoint_id in self._checkpoints.ids(complete=False) - busy:
            await self._checkpoints.delete(checkpoint_id)
        checkpoints = self._checkpoints.ids(complete=True)
        for snapshot_id in self._snapshots.partials() | self._snapshots.ids():
            if snapshot_id.startswith(_SANDBOX) and snapshot_id not in busy:
                self._sweep(snapshot_id)
            elif snapshot_id.startswith(_CHECKPOINT) and snapshot_id not in checkpoints | busy:
                self._snapshots.remove(snapshot_id)
                log.info("snapshot removed", snapshot=snapshot_id)
        await self.collect()

    def _sweep(self, snapshot_id: str) -> None:
        rows = {row.id: row for row in self._store.in_states(frozenset(State)) if row.id == snapshot_id}
        row = rows.get(snapshot_id)
        if row and (row.has_memory or row.state in _WRITING):
            if row.state is not State.PAUSING:
                self._snapshots.discard_partial(snapshot_id)
            return
        self._snapshots.remove(snapshot_id)
        log.info("snapshot removed", snapshot=snapshot_id)

    async def collect(self) -> None:
        """Delete the layers that nobody needs any more."""
        kept = set()
        for snapshot_id in self._snapshots.ids():
            try:
                kept.add(self._snapshots.open(snapshot_id).layer)
            except UnusableImage as exc:
                log.warning("layers are not collected", snapshot=snapshot_id, reason=exc.reason)
                return
        if removed := await self._layers.collect(kept - {""}):
            log.info("layers removed", layers=removed)
