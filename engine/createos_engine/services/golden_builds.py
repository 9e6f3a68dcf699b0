"""How golden snapshots come to be: one at a time, when nothing else is being started or stopped."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

import structlog

from createos_engine.drivers.channel.settle import rehearse
from createos_engine.errors import EngineError
from createos_engine.golden_words import Golden, GoldenState
from createos_engine.services.admission import available_memory_mib, require_memory, require_space
from createos_engine.services.background import Background
from createos_engine.services.goldens import Goldens
from createos_engine.services.layers import Layers
from createos_engine.services.machines import Machines
from createos_engine.services.manifests import Origin
from createos_engine.services.naming import golden_id
from createos_engine.services.network import Network
from createos_engine.services.progress import BootFiles
from createos_engine.services.quiet import Quiet
from createos_engine.services.snapshots import Snapshots
from createos_engine.services.steps import Step, Steps
from createos_engine.settings import Settings
from createos_engine.store.goldens import GoldenStore
from createos_engine.words import Sandbox

log = structlog.get_logger(__name__)

_MOST_WISHES = 8


@dataclass(frozen=True)
class Wish:
    """A create that had to boot: its sandbox, its image and what it was booted with."""

    sandbox: Sandbox
    base: Path
    files: BootFiles


class GoldenBuilds:
    """Builds what creates would have liked to start from."""

    def __init__(
        self,
        goldens: Goldens,
        store: GoldenStore,
        machines: Machines,
        network: Network,
        snapshots: Snapshots,
        layers: Layers,
        background: Background,
        settings: Settings,
        steps: Steps,
        quiet: Quiet,
        *,
        built: Callable[[Sandbox, BootFiles], None],
    ) -> None:
        """*built* is told for what sandbox there is a golden snapshot now."""
        self._goldens = goldens
        self._store = store
        self._machines = machines
        self._network = network
        self._snapshots = snapshots
        self._layers = layers
        self._background = background
        self._settings = settings
        self._steps = steps
        self._quiet = quiet
        self._built = built
        self._wishes: dict[str, Wish] = {}
        self._at_work = False
        self.building = ""

    @property
    def guests(self) -> frozenset[str]:
        """The ids of machines that are no sandboxes and yet wanted."""
        return frozenset({self.building} - {""})

    async def wish(self, sandbox: Sandbox, base: Path, files: BootFiles) -> None:
        """Remember that a create had to boot; a golden snapshot for the next one like it is built when there is time.

        Of creates that differ in their disk alone the one with the smallest counts: its snapshot fits all.
        """
        if not self._goldens.offered or not self._goldens.has_room(sandbox.mem_mib):
            return
        key = await self._goldens.key(sandbox, files)
        earlier = self._wishes.get(key)
        if (
            self._goldens.hopeless(key)
            or self._goldens.fitting(key, sandbox.disk_mib)
            or (not earlier and len(self._wishes) >= _MOST_WISHES)
        ):
            return
        if earlier is None or sandbox.disk_mib < earlier.sandbox.disk_mib:
            self._wishes[key] = Wish(sandbox, base, files)
        if not self._at_work:
            self._at_work = True
            self._background.start("golden snapshots", self._work())

    async def sweep(self, files: BootFiles) -> None:
        """Remove what is of no use, but not what is being built."""
        await self._goldens.sweep(files, self.building)

    async def _work(self) -> None:
        try:
            while self._wishes:
                await self._quiet.wait()
                key = next(iter(self._wishes))
                await self._try(key, self._wishes.pop(key))
        finally:
            self._at_work = False

    async def _try(self, key: str, wish: Wish) -> None:
        """Build one; what stands in the way is written to the log, and the next create that has to boot asks again."""
        try:
            self._admit(wish.sandbox)
            await self._build(key, wish)
            self._built(wish.sandbox, wish.files)
        except EngineError as exc:
            log.warning("golden snapshot not built", image=wish.sandbox.rootfs, reason=exc.sentence)
        finally:
            self.building = ""

    def _admit(self, sandbox: Sandbox) -> None:
        settings = self._settings
        require_memory(
            sandbox.mem_mib,
            promised_mib=0,
            reserve_mib=settings.memory_reserve_mib,
            available_mib=available_memory_mib(),
        )
        require_space(settings.state_dir, settings.disk_reserve_mib + sandbox.mem_mib)

    async def _build(self, key: str, wish: Wish) -> None:
        golden = _intent(key, wish.sandbox)
        begun = monotonic()
        self.building = golden.id
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self._goldens.discard, golden)
            await self._store.insert(golden)
            self._steps.reach(Step.GOLDEN_INTENDED)
            await self._boot_and_save(golden, wish)
            size_bytes = await self._publish(golden, wish)
            await self._store.ready(golden.id, size_bytes)
            undo.pop_all()
        self._steps.reach(Step.GOLDEN_READY)
        took_s = round(monotonic() - begun, 1)
        log.info("golden snapshot built", golden=golden.id, image=golden.rootfs, shape=golden.shape, took_s=took_s)
        await self._replace(golden)

    async def _boot_and_save(self, golden: Golden, wish: Wish) -> None:
        blank, deadline_s = self._goldens.blank(golden), self._settings.boot_deadline_s
        memory = self._snapshots.begin(golden.id, golden.mem_mib)
        self._steps.reach(Step.GOLDEN_PREPARED)
        agent = await self._machines.boot_blank(blank, wish.base, wish.files, deadline_s=deadline_s)
        self._steps.reach(Step.GOLDEN_BOOTED)
        await rehearse(agent, deadline_s=deadline_s)
        self._steps.reach(Step.GOLDEN_SETTLED)
        await self._machines.save(blank, memory)
        self._steps.reach(Step.GOLDEN_SAVED)

    async def _publish(self, golden: Golden, wish: Wish) -> int:
        """Make it durable, take its machine's link and directory away, and return its size."""
        blank, files = self._goldens.blank(golden), wish.files
        layer = await self._layers.freeze(golden.id)
        self._steps.reach(Step.GOLDEN_FROZEN)
        needs = await self._snapshots.needs(blank, files.accelerator)
        origin = Origin(golden.id, self._network.endpoint(blank.slot).mac)
        facts = {"kernel": str(files.kernel), "initramfs": str(files.initramfs), "key": golden.key}
        snapshot = await self._snapshots.publish(golden.id, origin, needs, facts, layer)
        self._steps.reach(Step.GOLDEN_PUBLISHED)
        await self._machines.remove(blank)
        await self._machines.erase(golden.id)
        self._steps.reach(Step.GOLDEN_CLEARED)
        return self._goldens.size_bytes(snapshot)

    async def _replace(self, newest: Golden) -> None:
        """Remove what the newest one makes needless, and what the budget has no room for beside it."""
        for golden in self._store.all():
            if golden.key == newest.key and golden.id != newest.id and not golden.pinned:
                await self._goldens.discard(golden)
        await self._goldens.keep_budget(newest.id)


def _intent(key: str, sandbox: Sandbox) -> Golden:
    return Golden(
        id=golden_id(),
        key=key,
        state=GoldenState.BUILDING,
        rootfs=sandbox.rootfs,
        shape=sandbox.shape,
        vcpu=sandbox.vcpu,
        mem_mib=sandbox.mem_mib,
        disk_mib=sandbox.disk_mib,
        base_digest=sandbox.base_digest,
        created_at=datetime.now(UTC),
    )
