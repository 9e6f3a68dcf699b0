"""Hypervisor, agents, links and identities over one HostState, which goes on when the engine is gone."""

from __future__ import annotations

import os
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, cast

from createos_engine.drivers.channel.agent import AgentClient
from createos_engine.drivers.hypervisor import Hypervisor, Machine, Makeup, MemoryImage, Nic, Stopped
from createos_engine.drivers.libvirt.pipe import digests_of, verified
from createos_engine.drivers.libvirt.savefile import HEADER_BYTES, SaveHeader, decode
from createos_engine.drivers.libvirt.seen import Seen
from createos_engine.errors import GuestFailed, HostFailed
from createos_engine.words import Accelerator, Sandbox
from createos_netconfig.addresses import Endpoint, Pool
from createos_netconfig.names import Instance

from tests.fakes.moments import FakeGuest, HostState, Moments
from tests.fakes.qcow2_files import words, write

INSTANCE = Instance("ab12")
_POOL = Pool(IPv4Network("10.77.0.0/16"), IPv6Network("fd77::/64"))
_WOKE = b"woke "


class LastingHypervisor:
    """Machines whose memory is the words they know; one that goes on writes a word to memory and disk at once."""

    def __init__(self, state: HostState, moments: Moments) -> None:
        self._state = state
        self._moments = moments
        self._listeners: list[Callable[[Stopped], None]] = []
        self.disk_is_full = False
        self.version = "7.2.22"

    async def start(self, machine: Machine) -> None:
        """Boot: a guest knows what it finds on its disk."""
        if not machine.overlay.is_file():
            raise HostFailed(f"machine {machine.name} was not started: there is no disk")
        self._state.machines[machine.name] = FakeGuest(
            machine.sandbox_id, believes=machine.sandbox_id, memory=words(machine.overlay), disk=machine.overlay
        )
        self._moments.host("machine started")

    async def destroy(self, name: str) -> None:
        """End a machine; one that is gone is fine."""
        if self._state.machines.pop(name, None):
            self._moments.host("machine destroyed")

    async def save(self, name: str, to: Path) -> None:
        """Write the memory as libvirt does: the first bytes say that it is complete, and they come last."""
        self._moments.host("save begins")
        guest = self._guest(name)
        image = SaveHeader(xml="<domain/>", cookie="", was_running=True, data_bytes=4096).encode() + guest.memory
        to.write_bytes(b"LibvirtQemudPart" + image[16:-1])
        self._moments.host("save half done")
        self._guest(name)
        _flush(guest.disk)
        if self.disk_is_full:
            raise HostFailed(f"machine {name} could not be saved: No space left on device")
        to.write_bytes(image)
        self._moments.host("save written")

    async def halt(self, name: str) -> None:
        """Stop a machine."""
        self._guest(name).stopped = True
        self._moments.host("machine halted")

    async def end(self, name: str) -> None:
        """End a machine that was saved."""
        self._state.machines.pop(name, None)
        self._moments.host("machine saved")

    async def digests(self, image: Path) -> tuple[str, ...]:
        """Return the digests of an image."""
        return digests_of(image, Seen())

    async def restore(self, machine: Machine, image: MemoryImage, pipe: Path) -> None:
        """Start from an image, verified as the real one does it; the guest goes on at once."""
        with image.path.open("rb", buffering=0) as file:
            content = b"".join(verified(file.fileno(), image))
        memory = content[HEADER_BYTES + decode(content).data_bytes :]
        self._state.machines[machine.name] = FakeGuest(
            machine.sandbox_id, believes="", memory=memory + _WOKE, disk=machine.overlay
        )
        write(machine.overlay, _WOKE)
        self._moments.host("machine restored")

    async def go_on(self, name: str) -> None:
        """Let a machine run."""
        self._guest(name).stopped = False

    async def entitle(self, name: str, title: str) -> None:
        """A title is of no interest here."""

    async def makeup(self, accelerator: Accelerator) -> Makeup:
        """Return what this QEMU is."""
        return Makeup(qemu=self.version, machine="pc-q35-7.2", cpu="default")

    async def plug(self, name: str, nic: Nic) -> None:
        """There are no further cards here."""

    async def unplug(self, name: str, nic: Nic, *, deadline_s: float) -> None:
        """There are no further cards here."""

    async def running(self) -> dict[str, str]:
        """Return what runs, or stands still."""
        return {name: guest.sandbox_id for name, guest in self._state.machines.items()}

    async def grow_disk(self, name: str, size_mib: int) -> None:
        """Disks here have no size."""

    def on_stopped(self, listener: Callable[[Stopped], None]) -> None:
        """Remember whom to tell."""
        self._listeners.append(listener)

    async def close(self) -> None:
        """Let go."""

    def kill_all(self) -> None:
        """End every QEMU by force."""
        for name in list(self._state.machines):
            stopped = Stopped(name, self._state.machines.pop(name).sandbox_id, "QEMU crashed")
            for listener in self._listeners:
                listener(stopped)

    def _guest(self, name: str) -> FakeGuest:
        if name not in self._state.machines:
            raise HostFailed(f"there is no machine {name}")
        return self._state.machines[name]


class LastingAgents:
    """Connections end with the engine; a guest answers whoever comes next, unless it stands still."""

    def __init__(self, state: HostState) -> None:
        self._state = state
        self._connected: set[str] = set()

    async def connect(self, sandbox_id: str, *, deadline_s: float) -> AgentClient:
        """Connect to a guest that runs."""
        if not any(one.sandbox_id == sandbox_id and not one.stopped for one in self._state.machines.values()):
            raise GuestFailed("the guest agent does not answer")
        self._connected.add(sandbox_id)
        return cast("Any", sandbox_id)

    async def disconnect(self, sandbox_id: str) -> None:
        """Hang up."""
        self._connected.discard(sandbox_id)

    def connected(self, sandbox_id: str) -> bool:
        """Tell whether the guest is connected."""
        return sandbox_id in self._connected


class LastingNetwork:
    """Links that stay until they are removed."""

    capacity = 100

    def __init__(self, state: HostState, moments: Moments) -> None:
        self._state = state
        self._moments = moments

    def endpoint(self, slot: int) -> Endpoint:
        """Return the addresses of a slot."""
        return _POOL.endpoint(INSTANCE, slot)

    async def prepare(self, slot: int) -> None:
        """Make a link that nothing passes."""
        self._state.links[slot] = False
        self._moments.host("closed link made")

    async def connect(self, slot: int) -> None:
        """Open a link."""
        self._state.links[slot] = True
        self._moments.host("link opened")

    async def disconnect(self, slot: int) -> None:
        """Remove a link; one that is gone is fine."""
        if self._state.links.pop(slot, None) is not None:
            self._moments.host("link removed")

    async def connected(self) -> frozenset[int]:
        """Return the slots with a link."""
        return frozenset(self._state.links)


class LastingIdentities:
    """A guest believes what it is told; what it was told last is in its memory."""

    def __init__(self, state: HostState, moments: Moments) -> None:
        self._state = state
        self._moments = moments

    async def give(self, agent: object, sandbox: Sandbox) -> None:
        """Tell a guest that has booted."""
        self._believe(str(agent), sandbox.id)

    async def wake(self, agent: object) -> None:
        """A guest that slept knows who it is: whoever its sandbox is."""
        self._believe(str(agent), str(agent))

    async def renew(self, agent: object, sandbox: Sandbox, replaces_mac: str) -> dict[str, str]:
        """Tell a copy."""
        self._moments.host("copy not renewed yet")
        self._believe(str(agent), sandbox.id)
        return {"hostname": sandbox.name}

    def _believe(self, sandbox_id: str, identity: str) -> None:
        found = [one for one in self._state.machines.values() if one.sandbox_id == sandbox_id]
        if not found:
            raise GuestFailed("the guest is gone")
        found[0].believes = identity


def _flush(disk: Path) -> None:
    """Do what QEMU does with its disks before it ends."""
    handle = os.open(disk, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def is_hypervisor(fake: LastingHypervisor) -> Hypervisor:
    """Hold the fake to the protocol."""
    return fake
