"""Machines as libvirt's transient domains. Only domains that carry this instance's metadata are ever touched."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import libvirt
import structlog

from createos_engine.drivers.hypervisor import Hypervisor, Machine, Makeup, MemoryImage, Nic, Stopped
from createos_engine.drivers.libvirt import cards, direct_save, ending, saving, tools_disk
from createos_engine.drivers.libvirt.connection import LibvirtConnection, libvirt_errors
from createos_engine.drivers.libvirt.domain_xml import NAMESPACE, ROOT_DISK, render
from createos_engine.drivers.libvirt.following import Follower
from createos_engine.drivers.libvirt.pipe import digests_of
from createos_engine.drivers.libvirt.seen import Seen
from createos_engine.errors import HostFailed
from createos_engine.words import Accelerator

log = structlog.get_logger(__name__)

_REASONS = {
    libvirt.VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN: "the guest shut down",
    libvirt.VIR_DOMAIN_EVENT_STOPPED_CRASHED: "QEMU crashed",
    libvirt.VIR_DOMAIN_EVENT_STOPPED_FAILED: "QEMU failed",
    libvirt.VIR_DOMAIN_EVENT_STOPPED_DESTROYED: "it was destroyed from outside",
}
_LOG_LINES = 3


class LibvirtHypervisor:
    """The Hypervisor of drivers/hypervisor.py over one connection."""

    def __init__(self, connection: LibvirtConnection, instance: str, *, qemu_binary: str, logs: Path) -> None:
        """*logs* is where libvirt keeps QEMU's stderr, one file per domain."""
        self._connection = connection
        self._instance = instance
        self._qemu_binary = qemu_binary
        self._logs = logs
        self._loop = asyncio.get_running_loop()
        self._listeners: list[Callable[[Stopped], None]] = []
        self._ending: set[str] = set()
        self._seen = Seen()
        # Every create asks; the key changes with QEMU and with the connection.
        self._makeups: dict[tuple[object, ...], Makeup] = {}
        connection.on_open(self._register, self._deregister)
        self._registration = -1

    async def start(self, machine: Machine) -> None:
        """Start a machine, or raise HostFailed with what QEMU said. Nothing of it is left after a failure."""
        xml = render(machine, self._qemu_binary)
        try:
            await self._connection.call(f"machine {machine.name} was not started", lambda c: c.createXML(xml, 0))
        except HostFailed as exc:
            said = self._qemu_said(machine.name)
            raise HostFailed(f"{exc.reason}{said}", hint=exc.hint) from exc

    async def destroy(self, name: str) -> None:
        """End a machine at once. One that is already gone is fine."""
        await self._connection.call(f"machine {name} could not be ended", lambda c: self._destroy(c, name))

    async def halt(self, name: str) -> None:
        """Stop the processors of a machine until `go_on`."""
        await self._connection.call(f"machine {name} could not be stopped", lambda c: c.lookupByName(name).suspend())

    async def save(self, name: str, to: Path) -> None:
        """Write memory and devices of a halted machine to a new file; its digests are taken meanwhile."""
        follower = Follower(to, self._seen)
        following = asyncio.ensure_future(asyncio.to_thread(follower.run))
        doing = f"machine {name} could not be saved"
        try:
            await (self._save_directly if self._connection.embedded else self._save)(doing, name, to)
            follower.end(whole=True)
        finally:
            follower.end(whole=False)
            await asyncio.gather(following, return_exceptions=True)

    async def _save_directly(self, doing: str, name: str, to: Path) -> None:
        # libvirt's threads may have mounts of their own: the file is made here.
        with libvirt_errors(doing):
            handle = await asyncio.to_thread(direct_save.create, to)
        try:
            await self._connection.call(doing, lambda c: direct_save.save(c.lookupByName(name), handle))
        finally:
            os.close(handle)

    async def _save(self, doing: str, name: str, to: Path) -> None:
        self._ending.add(name)
        try:
            await self._connection.call(doing, lambda c: c.lookupByName(name).save(str(to)))
        except HostFailed:
            self._ending.discard(name)
            raise

    async def end(self, name: str) -> None:
        """End a machine whose memory is saved; one that is gone is fine."""
        if self._connection.embedded:
            self._ending.add(name)
            pid_file = self._connection.pid_file(name)
            await self._connection.call(f"machine {name} could not be ended", lambda c: ending.end(c, name, pid_file))
        await self.destroy(name)

    async def digests(self, image: Path) -> tuple[str, ...]:
        """Return the digests of an image that was saved, and remember it as verified."""
        return await asyncio.to_thread(digests_of, image, self._seen)

    async def restore(self, machine: Machine, image: MemoryImage, pipe: Path) -> None:
        """Start a machine from an image; nothing of it is left after a failure."""
        await saving.restore(self._connection, machine, image, pipe, self._seen)

    async def go_on(self, name: str) -> None:
        """Let a halted machine run."""
        await self._connection.call(f"machine {name} could not go on", lambda c: self._go_on(c.lookupByName(name)))

    def _go_on(self, domain: Any) -> None:
        if domain.state()[0] == libvirt.VIR_DOMAIN_PAUSED:
            if self._connection.embedded:
                direct_save.cancel(domain)
            domain.resume()

    async def entitle(self, name: str, title: str) -> None:
        """Give a machine another title."""
        kind, live = libvirt.VIR_DOMAIN_METADATA_TITLE, libvirt.VIR_DOMAIN_AFFECT_LIVE
        await self._connection.call(
            f"machine {name} could not be given its title",
            lambda c: c.lookupByName(name).setMetadata(kind, title, None, None, live),
        )

    async def makeup(self, accelerator: Accelerator) -> Makeup:
        """Return what images that are saved here depend on."""
        key = (accelerator, self._connection.opened, _version(self._qemu_binary))
        if key not in self._makeups:
            self._makeups = {key: await saving.makeup(self._connection, accelerator)}
        return self._makeups[key]

    async def plug(self, name: str, nic: Nic) -> None:
        """Give a running machine a further network card; one that it has already is fine."""
        await self._connection.call(f"a network card of {name} was not plugged in", lambda c: cards.plug(c, name, nic))

    async def unplug(self, name: str, nic: Nic, *, deadline_s: float) -> None:
        """Take a network card away; HostFailed when the guest does not let go of it in time."""
        doing = f"a network card of {name} was not pulled"
        await self._connection.call(doing, lambda c: cards.unplug(c, name, nic, deadline_s))

    async def plug_tools(self, name: str, image: Path) -> None:
        """Give a running machine the read-only tools disk; one that it has already is fine."""
        doing = f"the tools disk of {name} was not plugged in"
        await self._connection.call(doing, lambda c: tools_disk.plug(c, name, image))

    async def running(self) -> dict[str, str]:
        """Return {machine name: sandbox id} of the running machines that carry this instance's tag."""
        return await self._connection.call("machines could not be listed", self._owned)

    async def grow_disk(self, name: str, size_mib: int) -> None:
        """Give a running machine's root disk *size_mib*; one that is as large already stays as it is."""
        doing = f"the disk of machine {name} could not grow to {size_mib} MiB"
        await self._connection.call(doing, lambda c: _grow(c.lookupByName(name), size_mib * 2**20))

    def on_stopped(self, listener: Callable[[Stopped], None]) -> None:
        """Call *listener* in the event loop whenever one of our machines ends by itself."""
        self._listeners.append(listener)

    async def close(self) -> None:
        """Let go of libvirt; machines keep running."""
        await self._connection.close()

    def _destroy(self, connection: Any, name: str) -> None:
        try:
            domain = connection.lookupByName(name)
            if self._sandbox_of(domain):
                self._ending.add(name)
                domain.destroy()
        except libvirt.libvirtError as exc:
            if exc.get_error_code() not in (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_OPERATION_INVALID):
                raise

    def _owned(self, connection: Any) -> dict[str, str]:
        domains = connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
        pairs = ((domain.name(), self._sandbox_of(domain)) for domain in domains)
        return {name: sandbox_id for name, sandbox_id in pairs if sandbox_id}

    def _sandbox_of(self, domain: Any) -> str:
        """Return the sandbox id in a domain's metadata; empty when the domain is not ours."""
        try:
            text = domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, NAMESPACE)
        except libvirt.libvirtError:
            return ""
        tag = ET.fromstring(text)
        return tag.get("id", "") if tag.get("instance") == self._instance else ""

    def _register(self, connection: Any) -> None:
        event = libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE
        self._registration = connection.domainEventRegisterAny(None, event, self._lifecycle, None)

    def _deregister(self, connection: Any) -> None:
        connection.domainEventDeregisterAny(self._registration)

    def _lifecycle(self, _connection: Any, domain: Any, event: int, detail: int, _opaque: object) -> None:
        """Called on libvirt's thread. The metadata of a stopped domain is gone, its name says whose it was."""
        name, prefix = domain.name(), f"createos-{self._instance}-"
        if event != libvirt.VIR_DOMAIN_EVENT_STOPPED or not name.startswith(prefix):
            return
        if name in self._ending:
            self._ending.discard(name)
            return
        reason = _REASONS.get(detail, "QEMU ended") + self._qemu_said(name)
        stopped = Stopped(name=name, sandbox_id=name.removeprefix(prefix), reason=reason)
        self._loop.call_soon_threadsafe(self._tell, stopped)

    def _tell(self, stopped: Stopped) -> None:
        for listener in self._listeners:
            listener(stopped)

    def _qemu_said(self, name: str) -> str:
        """Return QEMU's last words of its own log; libvirt's own lines there begin with a date."""
        try:
            lines = (self._logs / f"{name}.log").read_text(errors="replace").splitlines()
        except OSError:
            return ""
        said = [line for line in lines if line.startswith("qemu-system")][-_LOG_LINES:]
        return f" (QEMU: {' | '.join(said)})" if said else ""


def _version(binary: str) -> tuple[int, int] | None:
    """Return what is another when QEMU has been replaced."""
    try:
        status = Path(binary).stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _grow(domain: Any, size_bytes: int) -> None:
    capacity, _, _ = domain.blockInfo(ROOT_DISK)
    if capacity < size_bytes:
        domain.blockResize(ROOT_DISK, size_bytes, libvirt.VIR_DOMAIN_BLOCK_RESIZE_BYTES)


def _is_hypervisor(hypervisor: LibvirtHypervisor) -> Hypervisor:
    """Hold the class to the protocol when types are checked."""
    return hypervisor
