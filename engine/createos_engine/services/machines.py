"""The host objects of one sandbox, made and undone in one place: overlay, tap, rules, machine, agent."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import structlog

from createos_engine.drivers.channel.agent import AgentClient
from createos_engine.drivers.channel.disk import grow_file_system
from createos_engine.drivers.channel.settle import run_once
from createos_engine.drivers.disk import Disks
from createos_engine.drivers.hypervisor import DataDisk, Hypervisor, Machine, MemoryImage
from createos_engine.errors import HostFailed
from createos_engine.paths import Paths
from createos_engine.services.agents import Agents
from createos_engine.services.arrivals import Arrivals
from createos_engine.services.blueprints import blueprint, title
from createos_engine.services.identity import Identities
from createos_engine.services.manifest import write_manifest
from createos_engine.services.manifests import Origin
from createos_engine.services.members import Members
from createos_engine.services.naming import machine_name
from createos_engine.services.network import Network
from createos_engine.services.progress import BootFiles
from createos_engine.services.steps import Step, Steps
from createos_engine.services.stopwatch import Stopwatch
from createos_engine.words import Sandbox

log = structlog.get_logger(__name__)


class Machines:
    """Makes and removes machines. Removing accepts that any part is already gone."""

    def __init__(
        self,
        hypervisor: Hypervisor,
        disks: Disks,
        network: Network,
        identities: Identities,
        members: Members,
        agents: Agents,
        paths: Paths,
        instance: str,
        steps: Steps,
    ) -> None:
        self._hypervisor = hypervisor
        self._disks = disks
        self._network = network
        self._identities = identities
        self._members = members
        self._agents = agents
        self._steps = steps
        self._paths = paths
        self._instance = instance
        self._arrivals = Arrivals(hypervisor, agents, paths, self.name)

    async def boot(self, sandbox: Sandbox, base: Path, files: BootFiles, *, deadline_s: float) -> None:
        """Start a sandbox cold on a fresh overlay of *base* and give it its identity.

        Raises HostFailed or GuestFailed with everything known about why; nothing is left then.
        """
        watch = Stopwatch()
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self.erase, sandbox.id)
            self.make_directory(sandbox)
            await self._disks.create_overlay(base, self._paths.sandbox(sandbox.id).overlay, sandbox.disk_mib)
            watch.lap("overlay")
            await self.boot_disk(sandbox, files, deadline_s=deadline_s, watch=watch)
            undo.pop_all()

    async def boot_disk(
        self, sandbox: Sandbox, files: BootFiles, *, deadline_s: float, watch: Stopwatch | None = None
    ) -> None:
        """Start a sandbox cold from the disk it has, which stays if that fails."""
        watch = watch or Stopwatch()
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self.remove, sandbox)
            await self._network.connect(sandbox.slot)
            watch.lap("network")
            async with self._power_on(sandbox, files, deadline_s, watch) as agent:
                await self._identities.give(agent, sandbox)
                watch.lap("identity")
            await self._members.plug_all(sandbox.id)
            watch.lap("networks")
            undo.pop_all()
        log.info("machine booted", sandbox=sandbox.id, **watch.laps)

    async def boot_blank(
        self, sandbox: Sandbox, base: Path, files: BootFiles, *, deadline_s: float, disks: Sequence[DataDisk] = ()
    ) -> AgentClient:
        """Start a machine that is nobody's: cold, on a fresh overlay, with a link that stays closed and no identity.

        Whoever calls removes and erases it, also after a failure.
        """
        watch = Stopwatch()
        self.make_directory(sandbox)
        await self._disks.create_overlay(base, self._paths.sandbox(sandbox.id).overlay, sandbox.disk_mib)
        await self._network.prepare(sandbox.slot)
        async with self._power_on(sandbox, files, deadline_s, watch, disks) as agent:
            return agent

    @asynccontextmanager
    async def _power_on(
        self, sandbox: Sandbox, files: BootFiles, deadline_s: float, watch: Stopwatch, disks: Sequence[DataDisk] = ()
    ) -> AsyncIterator[AgentClient]:
        """Start a machine cold and yield its agent; a failure up to the end of the block ends it and is explained."""
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self._hypervisor.destroy, self.name(sandbox.id))
            try:
                await self._hypervisor.start(replace(self._machine(sandbox, files), data_disks=tuple(disks)))
                watch.lap("machine")
                undo.push_async_callback(self._agents.disconnect, sandbox.id)
                agent = await self._arrivals.agent(sandbox.id, deadline_s=deadline_s)
                watch.lap("agent")
                yield agent
            except HostFailed as exc:
                raise await self._arrivals.explained(exc, sandbox.id, files.accelerator) from exc
            undo.pop_all()

    async def require_networks(self, sandbox: Sandbox) -> None:
        """Raise unless a running sandbox is on all its networks; what is missing is tried once more."""
        await self._members.plug_all(sandbox.id)

    async def grow_disk(self, sandbox: Sandbox) -> None:
        """Give a running sandbox the disk of its row, when it was started with a smaller one."""
        await self._hypervisor.grow_disk(self.name(sandbox.id), sandbox.disk_mib)
        await grow_file_system(self._agents.get(sandbox.id), sandbox.disk_mib * 2**20)

    async def restore(
        self, sandbox: Sandbox, memory: MemoryImage, origin: Origin, files: BootFiles, *, deadline_s: float
    ) -> dict[str, str]:
        """Start a sandbox from a memory image and return what its agent confirmed to have renewed, if anything.

        Its link is closed, for itself and for others, until the guest is who it should be. The disk stays whatever
        happens. Raises UnusableImage, HostFailed or GuestFailed; no machine and no link are left then.
        """
        watch = Stopwatch()
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self.remove, sandbox)
            await self._wake(sandbox, memory, files, watch)
            receipt = await self._recognised(sandbox, origin, files, deadline_s, watch)
            self._steps.reach(Step.RESTORE_IDENTITY)
            await self._open(sandbox, watch)
            undo.pop_all()
        log.info("machine restored", sandbox=sandbox.id, **watch.laps)
        return receipt

    async def stand_by(
        self, blank: Sandbox, memory: MemoryImage, origin: Origin, files: BootFiles, *, deadline_s: float
    ) -> None:
        """Start a machine that is nobody's yet from a memory image, and halt it once it has done what comes first.

        Its link stays closed. Raises as `restore` does.
        """
        watch = Stopwatch()
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self.remove, blank)
            await self._wake(blank, memory, files, watch)
            await self._recognised(blank, origin, files, deadline_s, watch)
            await run_once(self._agents.get(blank.id))
            await self._agents.disconnect(blank.id)
            await self._hypervisor.halt(self.name(blank.id))
            watch.lap("rehearsal")
            undo.pop_all()
        log.info("machine halted", sandbox=blank.id, **watch.laps)

    async def take_over(self, sandbox: Sandbox, files: BootFiles, *, deadline_s: float) -> None:
        """Make the machine that stands by under a sandbox's id that sandbox's. Raises as `restore` does."""
        watch, name = Stopwatch(), self.name(sandbox.id)
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self.remove, sandbox)
            await self._hypervisor.entitle(name, title(sandbox))
            await self._hypervisor.go_on(name)
            watch.lap("machine")
            nobody = Origin("", self._network.endpoint(sandbox.slot).mac)
            await self._recognised(sandbox, nobody, files, deadline_s, watch)
            await self._open(sandbox, watch)
            undo.pop_all()
        log.info("machine taken over", sandbox=sandbox.id, **watch.laps)

    async def _wake(self, sandbox: Sandbox, memory: MemoryImage, files: BootFiles, watch: Stopwatch) -> None:
        """Start a machine from a memory image behind a closed link."""
        await self._network.prepare(sandbox.slot)
        watch.lap("network")
        paths = self._paths.sandbox(sandbox.id)
        paths.channel.unlink(missing_ok=True)
        self._steps.reach(Step.RESTORE_PREPARED)
        await self._hypervisor.restore(self._machine(sandbox, files), memory, paths.restore_pipe)
        watch.lap("machine")
        self._steps.reach(Step.RESTORE_MACHINE)

    async def _recognised(
        self, sandbox: Sandbox, origin: Origin, files: BootFiles, deadline_s: float, watch: Stopwatch
    ) -> dict[str, str]:
        """Wait for the agent of a guest, which becomes this sandbox where its memory is another's."""
        try:
            agent = await self._arrivals.agent(sandbox.id, deadline_s=deadline_s)
            watch.lap("agent")
            if origin.sandbox_id != sandbox.id:
                receipt = await self._identities.renew(agent, sandbox, origin.mac)
            else:
                receipt = {}
                await self._identities.wake(agent)
            watch.lap("identity")
        except HostFailed as exc:
            raise await self._arrivals.explained(exc, sandbox.id, files.accelerator) from exc
        return receipt

    async def _open(self, sandbox: Sandbox, watch: Stopwatch) -> None:
        """Open the link of a guest that is who it should be."""
        await self._network.connect(sandbox.slot)
        watch.lap("link")
        await self._members.adopt(sandbox.id)
        watch.lap("networks")

    async def save(self, sandbox: Sandbox, to: Path) -> None:
        """Write the memory of a running sandbox to a file and end its machine; `go_on` takes it back if that fails.

        What is saved has no card of a private network: what is restored gets those of the networks it is on by then.
        """
        watch, name = Stopwatch(), self.name(sandbox.id)
        await self._members.pull_all(sandbox.id)
        watch.lap("networks")
        await self._agents.disconnect(sandbox.id)
        watch.lap("agent")
        await self._hypervisor.halt(name)
        self._steps.reach(Step.SAVE_HALTED)
        # The guest is silent by now: its link can be closed while QEMU writes.
        saving = asyncio.ensure_future(self._hypervisor.save(name, to))
        try:
            await self._network.prepare(sandbox.slot)
        finally:
            await saving
        watch.lap("memory")
        self._steps.reach(Step.SAVE_WRITTEN)
        await self._hypervisor.end(name)
        watch.lap("end")
        log.info("machine saved", sandbox=sandbox.id, **watch.laps)

    async def running(self, sandbox_id: str) -> bool:
        """Tell whether there is a machine."""
        return self.name(sandbox_id) in await self._hypervisor.running()

    async def go_on(self, sandbox: Sandbox, *, deadline_s: float) -> None:
        """Take charge of a machine again whose save was cut short: its rules come first."""
        await self._network.connect(sandbox.slot)
        await self._hypervisor.go_on(self.name(sandbox.id))
        await self.adopt(sandbox, deadline_s=deadline_s)

    async def adopt(self, sandbox: Sandbox, *, deadline_s: float) -> None:
        """Take charge of a machine that runs already: its link and rules are verified, its agent connected."""
        await self._network.connect(sandbox.slot)
        await self._agents.connect(sandbox.id, deadline_s=deadline_s)
        self.record(sandbox)
        await self._members.adopt(sandbox.id)

    async def remove(self, sandbox: Sandbox) -> None:
        """End the machine and its link; the disk stays."""
        await self._agents.disconnect(sandbox.id)
        await self._hypervisor.destroy(self.name(sandbox.id))
        await self._members.sever_all(sandbox.id)
        await self._network.disconnect(sandbox.slot)
        self._paths.sandbox(sandbox.id).channel.unlink(missing_ok=True)

    async def erase(self, sandbox_id: str) -> None:
        """Delete the sandbox's directory, its disk included."""
        paths = self._paths.sandbox(sandbox_id)
        paths.channel.unlink(missing_ok=True)
        shutil.rmtree(paths.directory, ignore_errors=True)
        if paths.directory.exists():
            raise HostFailed(f"{paths.directory} could not be removed", hint="remove it by hand")

    def name(self, sandbox_id: str) -> str:
        """Return the domain's name."""
        return machine_name(self._instance, sandbox_id)

    def record(self, sandbox: Sandbox) -> None:
        """Write the sandbox's row beside its disk, when it has one (yet)."""
        paths = self._paths.sandbox(sandbox.id)
        if paths.directory.is_dir():
            write_manifest(paths.manifest, sandbox)

    def make_directory(self, sandbox: Sandbox) -> None:
        """Make the sandbox's directory with its manifest."""
        self._paths.sandbox(sandbox.id).directory.mkdir(mode=0o711)
        self.record(sandbox)

    def _machine(self, sandbox: Sandbox, files: BootFiles) -> Machine:
        paths, endpoint = self._paths.sandbox(sandbox.id), self._network.endpoint(sandbox.slot)
        return blueprint(sandbox, files, paths, endpoint, name=self.name(sandbox.id), instance=self._instance)
