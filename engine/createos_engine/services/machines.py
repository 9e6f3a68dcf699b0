"""The host objects of one sandbox, made and undone in one place: overlay, tap, rules, machine, agent."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
import uuid
from contextlib import AsyncExitStack
from pathlib import Path
from time import perf_counter
from typing import Any

import structlog

from createos_engine.drivers.channel.agent import Identity, InterfaceConfig
from createos_engine.drivers.disk import Disks
from createos_engine.drivers.hypervisor import Hypervisor, Machine, Stopped
from createos_engine.errors import GuestFailed, HostFailed
from createos_engine.paths import Paths
from createos_engine.services.agents import Agents
from createos_engine.services.console import last_lines
from createos_engine.services.manifest import write_manifest
from createos_engine.services.naming import machine_uuid
from createos_engine.services.network import Network
from createos_engine.services.progress import BootFiles
from createos_engine.words import Accelerator, Sandbox

log = structlog.get_logger(__name__)

_ENTROPY_BYTES = 64


class Stopwatch:
    """How long each step took, in milliseconds, by its name with `_ms` behind it."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._begun = perf_counter()

    def lap(self, name: str) -> None:
        """End a step."""
        now = perf_counter()
        self.laps[f"{name}_ms"] = round((now - self._begun) * 1000, 1)
        self._begun = now


class Machines:
    """Makes and removes machines. Removing accepts that any part is already gone."""

    def __init__(
        self, hypervisor: Hypervisor, disks: Disks, network: Network, agents: Agents, paths: Paths, instance: str
    ) -> None:
        self._hypervisor = hypervisor
        self._disks = disks
        self._network = network
        self._agents = agents
        self._paths = paths
        self._instance = instance
        self._ends: dict[str, asyncio.Future[str]] = {}
        hypervisor.on_stopped(self._ended)

    async def boot(self, sandbox: Sandbox, base: Path, files: BootFiles, *, deadline_s: float) -> None:
        """Start a sandbox cold on a fresh overlay of *base* and give it its identity.

        Raises HostFailed or GuestFailed with everything known about why; nothing is left then.
        """
        watch = Stopwatch()
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self.erase, sandbox.id)
            self._make_directory(sandbox)
            await self._disks.create_overlay(base, self._paths.sandbox(sandbox.id).overlay, sandbox.disk_mib)
            watch.lap("overlay")
            undo.push_async_callback(self._network.disconnect, sandbox.slot)
            await self._network.connect(sandbox.slot)
            watch.lap("network")
            undo.push_async_callback(self._hypervisor.destroy, self.name(sandbox.id))
            try:
                await self._hypervisor.start(self._machine(sandbox, files))
                watch.lap("machine")
                undo.push_async_callback(self._agents.disconnect, sandbox.id)
                await self._connect_unless_it_ends(sandbox.id, deadline_s)
                watch.lap("agent")
                await self._configure(sandbox)
                watch.lap("identity")
            except HostFailed as exc:
                raise await self._explained(exc, sandbox, files.accelerator) from exc
            undo.pop_all()
        log.info("machine booted", sandbox=sandbox.id, **watch.laps)

    async def adopt(self, sandbox: Sandbox, *, deadline_s: float) -> None:
        """Take charge of a machine that runs already: its link and rules are verified, its agent connected."""
        await self._network.connect(sandbox.slot)
        await self._agents.connect(sandbox.id, deadline_s=deadline_s)
        self.record(sandbox)

    async def remove(self, sandbox: Sandbox) -> None:
        """End the machine and its link; the disk stays."""
        await self._agents.disconnect(sandbox.id)
        await self._hypervisor.destroy(self.name(sandbox.id))
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
        return f"createos-{self._instance}-{sandbox_id}"

    def record(self, sandbox: Sandbox) -> None:
        """Write the sandbox's row beside its disk, when it has one (yet)."""
        paths = self._paths.sandbox(sandbox.id)
        if paths.directory.is_dir():
            write_manifest(paths.manifest, sandbox)

    def _make_directory(self, sandbox: Sandbox) -> None:
        self._paths.sandbox(sandbox.id).directory.mkdir(mode=0o711)
        self.record(sandbox)

    def _machine(self, sandbox: Sandbox, files: BootFiles) -> Machine:
        paths, endpoint = self._paths.sandbox(sandbox.id), self._network.endpoint(sandbox.slot)
        return Machine(
            name=self.name(sandbox.id),
            uuid=machine_uuid(sandbox.id),
            instance=self._instance,
            sandbox_id=sandbox.id,
            title=f"{sandbox.name} ({sandbox.rootfs}, {sandbox.shape})",
            vcpu=sandbox.vcpu,
            mem_mib=sandbox.mem_mib,
            accelerator=files.accelerator,
            kernel=files.kernel,
            initramfs=files.initramfs,
            cmdline=files.cmdline,
            overlay=paths.overlay,
            channel=paths.channel,
            console=paths.console,
            tap=endpoint.interface,
            mac=endpoint.mac,
            genid=str(uuid.uuid4()),
        )

    async def _connect_unless_it_ends(self, sandbox_id: str, deadline_s: float) -> None:
        """Wait for the agent, but not for that of a machine that has ended meanwhile."""
        end: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._ends[sandbox_id] = end
        connecting = asyncio.ensure_future(self._agents.connect(sandbox_id, deadline_s=deadline_s))
        try:
            waiting: list[asyncio.Future[Any]] = [connecting, end]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if not connecting.done():
                raise GuestFailed(f"the machine ended by itself while it booted ({end.result()})")
            connecting.result()
        finally:
            del self._ends[sandbox_id]
            connecting.cancel()
            await asyncio.gather(connecting, return_exceptions=True)

    def _ended(self, stopped: Stopped) -> None:
        end = self._ends.get(stopped.sandbox_id)
        if end and not end.done():
            end.set_result(stopped.reason)

    async def _configure(self, sandbox: Sandbox) -> None:
        endpoint = self._network.endpoint(sandbox.slot)
        interface = InterfaceConfig(
            mac=endpoint.mac,
            addresses=(f"{endpoint.ipv4}/32", f"{endpoint.ipv6}/128"),
            gateways=self._network.gateways,
        )
        identity = Identity(
            hostname=sandbox.name,
            clock_unix_ns=time.time_ns(),
            entropy=os.urandom(_ENTROPY_BYTES),
            dns_servers=self._network.resolvers,
            dns_search=(),
            interfaces=(interface,),
        )
        await self._agents.get(sandbox.id).configure(identity)

    async def _explained(self, exc: HostFailed, sandbox: Sandbox, accelerator: Accelerator) -> GuestFailed:
        """Return the failure with all that is known: accelerator, whether QEMU still runs, the console's last words."""
        running = self.name(sandbox.id) in await self._hypervisor.running()
        lines = last_lines(self._paths.sandbox(sandbox.id).console)
        said = f"; the console ends with: {' | '.join(lines)}" if lines else "; the console is empty"
        qemu = "QEMU is running" if running else "QEMU is not running"
        return GuestFailed(
            f"the machine did not come up under {accelerator}: {exc.reason}; {qemu}{said}", hint=exc.hint
        )
