"""Builds images in machines that are there for one build each: what breaks out of a step is not on the host."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path, PurePath

from createos_images import in_machine, jobs
from createos_images.buildah import text_for_buildah
from createos_images.builder import Base, adopt_base
from createos_images.cache import Cache, partial, remove_partials
from createos_images.catalog import BUILDER
from createos_images.dockerfile import SCRATCH, Dockerfile
from createos_images.dockerfile_names import without_volumes
from createos_images.errors import ImageError
from createos_images.ext4 import stated_bytes

from createos_engine.drivers.channel.build import Result, run_build
from createos_engine.drivers.hypervisor import DataDisk
from createos_engine.errors import HostFailed, Invalid
from createos_engine.services.admission import available_memory_mib, require_memory, require_space
from createos_engine.services.blueprints import nobody
from createos_engine.services.build_slots import BuildSlots
from createos_engine.services.catalog import ImageCatalog
from createos_engine.services.identity import Identities
from createos_engine.services.machines import Machines
from createos_engine.services.naming import build_id
from createos_engine.services.network import Network
from createos_engine.services.progress import Progress
from createos_engine.settings import Settings
from createos_engine.words import Sandbox

_MIB = 2**20
_MOST_BASES = 6
_MOST_VCPU = 2


class MachineBuilder:
    """Builds with buildah in a machine of the image builder:1, of which nothing is left at the end."""

    def __init__(
        self,
        machines: Machines,
        identities: Identities,
        network: Network,
        slots: BuildSlots,
        catalog: ImageCatalog,
        progress: Progress,
        settings: Settings,
    ) -> None:
        self._machines = machines
        self._identities = identities
        self._network = network
        self._slots = slots
        self._catalog = catalog
        self._progress = progress
        self._settings = settings
        self._cache = Cache(settings.cache_dir)
        self._at_work: set[str] = set()

    @property
    def guests(self) -> frozenset[str]:
        """The ids of machines that are no sandboxes and yet wanted."""
        return frozenset(self._at_work)

    async def require(self, dockerfile: Dockerfile) -> None:
        """Raise Invalid when there is no image to build in, or the file needs more images than a machine takes."""
        try:
            self._catalog.base(BUILDER)
        except Invalid as exc:
            raise Invalid(f"the builder vm needs {BUILDER}: {exc.reason}", hint=exc.hint, field="builder") from exc
        if len(set(dockerfile.images) - {SCRATCH}) > _MOST_BASES:
            reason = f"the builder vm takes at most {_MOST_BASES} images in one file"
            raise Invalid(reason, hint="begin from fewer, or use another builder", field="dockerfile")

    async def build(self, name: str, dockerfile: Dockerfile, bases: Sequence[Base], say: Callable[[str], None]) -> Base:
        """Return the finished base; raise EngineError with the step that failed. Cancelling ends the machine."""
        remove_partials(self._cache, name)
        with partial(self._cache.bases, name) as work:
            work.chmod(0o711)  # QEMU's user passes through
            raw = work / "base.raw"
            with raw.open("xb") as file:
                file.truncate(self._settings.build_quota_mib * _MIB)
            async with self._slots.hold() as slot:
                result = await self._in_machine(name, slot, raw, self._files(name, dockerfile, bases), say, bases)
            if result.reason:
                raise HostFailed(result.reason, hint=result.hint)
            return await asyncio.to_thread(self._adopt, name, raw, result)

    async def _in_machine(
        self,
        name: str,
        slot: int,
        raw: Path,
        files: Mapping[PurePath, bytes],
        say: Callable[[str], None],
        bases: Sequence[Base],
    ) -> Result:
        blank = self._blank(name, slot)
        self._at_work.add(blank.id)
        async with AsyncExitStack() as undo:
            undo.callback(self._at_work.discard, blank.id)
            await self._clear(blank)  # what a killed daemon left
            undo.push_async_callback(self._clear, blank)
            self._admit(blank)
            say("starting a machine to build in")
            timeout_s = self._settings.build_timeout_s
            try:
                async with asyncio.timeout(timeout_s):
                    agent = await self._machines.boot_blank(
                        blank,
                        self._catalog.base(BUILDER).path,
                        self._progress.require_files(),
                        deadline_s=self._settings.boot_deadline_s,
                        disks=_disks(raw, bases),
                    )
                    await self._identities.give(agent, blank)
                    await self._network.connect_build(slot)
                    return await run_build(agent, files, say)
            except TimeoutError as exc:
                hint = "split it, or raise build_timeout_s"
                raise HostFailed(f"the build did not end within {timeout_s:g} s", hint=hint) from exc

    async def _clear(self, blank: Sandbox) -> None:
        await self._machines.remove(blank)
        await self._machines.erase(blank.id)

    def _admit(self, blank: Sandbox) -> None:
        settings = self._settings
        free = available_memory_mib()
        require_memory(blank.mem_mib, promised_mib=0, reserve_mib=settings.memory_reserve_mib, available_mib=free)
        require_space(settings.state_dir, settings.disk_reserve_mib)

    def _files(self, name: str, dockerfile: Dockerfile, bases: Sequence[Base]) -> Mapping[PurePath, bytes]:
        """Return what the machine needs besides its disks."""
        text, volumes = without_volumes(dockerfile.text)
        texts = jobs.files(self._job(name, bases, volumes), text_for_buildah(text, bases))
        return {in_machine.CODE: in_machine.code(), **{path: text.encode() for path, text in texts.items()}}

    def _job(self, name: str, bases: Sequence[Base], volumes: tuple[str, ...]) -> jobs.Job:
        sources = (
            jobs.Source(
                base.name,
                base.digest,
                in_machine.DISKS / f"{in_machine.BASE_DISK}{number}",
                base.config.env,
                base.config.working_dir,
                base.config.user,
            )
            for number, base in enumerate(bases)
        )
        settings = self._settings
        return jobs.Job(
            name=name,
            work=in_machine.JOB,
            cache=in_machine.PLACE / "cache",
            sources=tuple(sources),
            link=None,
            volumes=volumes,
            quota_mib=settings.build_quota_mib,
            memory_mib=settings.build_memory_mib,
            timeout_s=settings.build_timeout_s,
            cgroup="/createos-build",
        )

    def _blank(self, name: str, slot: int) -> Sandbox:
        base, settings = self._catalog.base(BUILDER), self._settings
        return nobody(
            build_id(name),
            slot,
            name="build",
            created_at=datetime.now(UTC),
            rootfs=BUILDER,
            vcpu=min(os.cpu_count() or 1, _MOST_VCPU),
            mem_mib=settings.build_memory_mib,
            disk_mib=settings.build_quota_mib + base.size_bytes // _MIB,
            base_digest=base.digest,
        )

    def _adopt(self, name: str, raw: Path, result: Result) -> Base:
        """Take over a file system that a guest has written: it is never mounted here, and QEMU's user loses it."""
        os.chown(raw, 0, 0)
        try:
            if not 0 < result.size_bytes == stated_bytes(raw) <= raw.stat().st_size:
                raise HostFailed("the machine of the build left no file system", hint="submit the template again")
            os.truncate(raw, result.size_bytes)
            return adopt_base(name, raw, result.size_bytes, result.config.model_dump(), self._cache)
        except ImageError as exc:
            raise HostFailed(exc.reason, hint=exc.hint) from exc


def _disks(raw: Path, bases: Sequence[Base]) -> list[DataDisk]:
    read = [DataDisk(base.path, f"{in_machine.BASE_DISK}{number}", readonly=True) for number, base in enumerate(bases)]
    return [DataDisk(raw, in_machine.RESULT_DISK, readonly=False), *read]
