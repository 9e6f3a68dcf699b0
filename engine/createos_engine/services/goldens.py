"""Golden snapshots: guests that booted and then waited for nobody, from which creates are forked (design 7).

One is of use only with what it was made with; that is its key. What does not fit any more is removed, and the disk
space of all together has a bound. Nothing here can make a create fail: without a golden snapshot it boots.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime

import structlog

from createos_engine.drivers import qcow2
from createos_engine.drivers.hypervisor import UnusableImage
from createos_engine.errors import EngineError
from createos_engine.golden_words import Golden, GoldenState
from createos_engine.paths import GOLDEN_PREFIX, Paths
from createos_engine.services.blueprints import nobody
from createos_engine.services.machines import Machines
from createos_engine.services.manifests import Needs, Snapshot
from createos_engine.services.network import Network
from createos_engine.services.progress import BootFiles
from createos_engine.services.remains import Remains
from createos_engine.services.snapshots import Snapshots
from createos_engine.settings import Settings
from createos_engine.store.goldens import GoldenStore
from createos_engine.words import Sandbox

log = structlog.get_logger(__name__)

_MIB = 2**20
# What a guest is like before anybody has used it depends on how it is made, too: to be raised when that changes.
_RECIPE = 1
# A kind of guest whose snapshots do not start here is not saved over and over.
_MOST_DROPS = 3


class Goldens:
    """Finds, keeps and removes them."""

    def __init__(
        self,
        store: GoldenStore,
        machines: Machines,
        network: Network,
        snapshots: Snapshots,
        remains: Remains,
        paths: Paths,
        settings: Settings,
    ) -> None:
        self._store = store
        self._machines = machines
        self._network = network
        self._snapshots = snapshots
        self._remains = remains
        self._paths = paths
        self._budget_bytes = settings.golden_budget_mib * _MIB
        # In use by creates at this moment: those are not removed to make room.
        self.in_use: list[str] = []
        self._dropped: Counter[str] = Counter()

    @property
    def offered(self) -> bool:
        """Tell whether creates may start from golden snapshots at all."""
        return self._budget_bytes > 0

    async def key(self, sandbox: Sandbox, files: BootFiles) -> str:
        """Return the key of what a sandbox could start from."""
        return key_of(await self._snapshots.needs(sandbox, files.accelerator), files)

    async def find(self, sandbox: Sandbox, files: BootFiles) -> tuple[Golden, Snapshot] | None:
        """Return what a sandbox can start from now."""
        if not self.offered:
            return None
        needs = await self._snapshots.needs(sandbox, files.accelerator)
        golden = self.fitting(key_of(needs, files), sandbox.disk_mib)
        if golden is None:
            return None
        try:
            snapshot = self._snapshots.open(golden.id)
            snapshot.require(needs)
        except UnusableImage as exc:
            await self.drop(golden.id, exc.reason)
            return None
        return golden, snapshot

    def all(self) -> list[Golden]:
        """Return every one that there is, finished or not."""
        return self._store.all()

    def fitting(self, key: str, disk_mib: int) -> Golden | None:
        """Return the one of a key whose disk is not larger than what is wanted."""
        fits = (each for each in self._store.all() if each.key == key and each.disk_mib <= disk_mib)
        return next((golden for golden in fits if golden.state is GoldenState.READY), None)

    async def used(self, golden_id: str) -> None:
        """Write down that a create has started from one."""
        await self._store.used(golden_id, datetime.now(UTC))

    async def drop(self, golden_id: str, reason: str) -> None:
        """Remove one that is of no use; creates boot until there is another."""
        log.warning("golden snapshot dropped", golden=golden_id, reason=reason)
        for golden in self._store.all():
            if golden.id == golden_id:
                self._dropped[golden.key] += 1
                await self._attempt(golden)

    def hopeless(self, key: str) -> bool:
        """Tell whether snapshots of a key were dropped time and again since the daemon was started."""
        return self._dropped[key] >= _MOST_DROPS

    async def discard(self, golden: Golden) -> None:
        """Remove whatever there is of one, its row last; repeatable."""
        blank = self.blank(golden)
        if golden.state is GoldenState.BUILDING:
            await self._machines.remove(blank)
        await self._machines.erase(golden.id)
        self._snapshots.remove(golden.id)
        await self._store.remove(golden.id)
        await self._remains.collect()

    async def sweep(self, files: BootFiles, building: str = "") -> None:
        """Remove what a dead daemon left half built, what fits nothing any more, and what no row knows."""
        rows = self._store.all()
        for golden in rows:
            if golden.id != building and (reason := await self._useless(golden, files)):
                log.info("golden snapshot removed", golden=golden.id, image=golden.rootfs, reason=reason)
                await self._attempt(golden)
        known = {golden.id for golden in rows}
        for found in self._snapshots.ids() | self._snapshots.partials():
            if found.startswith(GOLDEN_PREFIX) and found not in known:
                self._snapshots.remove(found)
        for entry in self._paths.goldens.iterdir():
            if entry.name.startswith(GOLDEN_PREFIX) and entry.name not in known:
                await self._machines.erase(entry.name)

    async def _useless(self, golden: Golden, files: BootFiles) -> str:
        """Return why a golden snapshot is of no use, empty when it is of use."""
        if golden.state is GoldenState.BUILDING:
            return "createosd was stopped while it was being built"
        if not self.offered:
            return "golden_budget_mib is 0"
        if await self.key(self.blank(golden), files) != golden.key:
            return "kernel, agent, QEMU or accelerator have changed"
        try:
            layer = self._paths.layer(self._snapshots.open(golden.id).layer)
            base = (layer, *qcow2.chain(layer))[-1]
        except EngineError as exc:
            return exc.reason
        return "" if base.is_file() else "its image is gone"

    async def keep_budget(self, newest: str = "") -> None:
        """Remove those that were not used for longest until the rest fits; never a pinned one or *newest*."""
        rows = [golden for golden in self._store.all() if golden.state is GoldenState.READY]
        excess = sum(golden.size_bytes for golden in rows) - self._budget_bytes
        for golden in sorted(rows, key=lambda each: each.last_used_at or each.created_at):
            if excess <= 0:
                return
            if not golden.pinned and golden.id != newest and golden.id not in self.in_use:
                log.info("golden snapshot removed", golden=golden.id, reason="golden_budget_mib is used up")
                await self._attempt(golden)
                excess -= golden.size_bytes

    def has_room(self, mem_mib: int) -> bool:
        """Tell whether one of so much memory fits into the budget beside those that are pinned."""
        pinned = sum(golden.size_bytes for golden in self._store.all() if golden.pinned)
        return pinned + mem_mib * _MIB <= self._budget_bytes

    async def _attempt(self, golden: Golden) -> None:
        try:
            await self.discard(golden)
        except EngineError as exc:
            log.warning("golden snapshot not removed", golden=golden.id, reason=exc.sentence)

    def size_bytes(self, snapshot: Snapshot) -> int:
        """Return what a snapshot takes on the host's disk."""
        disk = self._paths.layer(snapshot.layer)
        return sum(path.stat().st_blocks * 512 for path in (snapshot.memory.path, disk))

    def blank(self, golden: Golden) -> Sandbox:
        """Return the sandbox that a golden snapshot is the machine of: one that is nobody's."""
        return nobody(
            golden.id,
            self._network.golden_slot,
            name="golden",
            created_at=golden.created_at,
            shape=golden.shape,
            rootfs=golden.rootfs,
            vcpu=golden.vcpu,
            mem_mib=golden.mem_mib,
            disk_mib=golden.disk_mib,
            base_digest=golden.base_digest,
        )


def key_of(needs: Needs, files: BootFiles) -> str:
    """Return a digest of everything a guest's memory depends on before anybody has used it."""
    said = {
        "recipe": _RECIPE,
        "needs": asdict(needs),
        "kernel": str(files.kernel),
        "initramfs": str(files.initramfs),
        "digests": files.digests,
        "cmdline": files.cmdline,
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
