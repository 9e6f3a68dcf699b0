"""A hypervisor that keeps its machines in a dict."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from createos_engine.drivers.hypervisor import Hypervisor, Machine, Makeup, MemoryImage, Nic, Stopped
from createos_engine.drivers.libvirt.pipe import digests_of, verified
from createos_engine.drivers.libvirt.savefile import SaveHeader, decode
from createos_engine.drivers.libvirt.seen import Seen
from createos_engine.errors import HostFailed
from createos_engine.words import Accelerator


class FakeHypervisor:
    """Starts and ends machines at once; `refuse` makes the named calls fail."""

    def __init__(self, refuse: frozenset[str] = frozenset()) -> None:
        self.machines: dict[str, str] = {}
        self.disks_mib: dict[str, int] = {}
        self.refuse = refuse
        self.version = "7.2.22"
        self.cards: dict[str, set[Nic]] = {}
        self.tools: dict[str, Path] = {}
        self._listeners: list[Callable[[Stopped], None]] = []

    async def start(self, machine: Machine) -> None:
        """Start, unless told to refuse."""
        self._may("start")
        self.machines[machine.name] = machine.sandbox_id

    async def destroy(self, name: str) -> None:
        """End a machine; one that is gone is fine."""
        self._may("destroy")
        self.machines.pop(name, None)

    async def save(self, name: str, to: Path) -> None:
        """Write a save image whose stream is the machine's name."""
        self._may("save")
        if name not in self.machines:
            raise HostFailed(f"machine {name} could not be saved: there is none")
        header = SaveHeader(xml=f"<domain><name>{name}</name></domain>", cookie="", was_running=True, data_bytes=4096)
        to.write_bytes(header.encode() + name.encode())

    async def halt(self, name: str) -> None:
        """Stop a machine."""
        self._may("halt")

    async def end(self, name: str) -> None:
        """End a machine."""
        self._may("end")
        self.machines.pop(name, None)

    async def digests(self, image: Path) -> tuple[str, ...]:
        """Return the digests of an image."""
        return digests_of(image, Seen())

    async def restore(self, machine: Machine, image: MemoryImage, pipe: Path) -> None:
        """Start a machine, after the image was verified as the real one does it."""
        self._may("restore")
        with image.path.open("rb", buffering=0) as file:
            decode(b"".join(verified(file.fileno(), image)))
        self.machines[machine.name] = machine.sandbox_id

    async def go_on(self, name: str) -> None:
        """Let a machine run."""
        self._may("go_on")

    async def entitle(self, name: str, title: str) -> None:
        """A title is of no interest here."""

    async def makeup(self, accelerator: Accelerator) -> Makeup:
        """Return what this QEMU is."""
        return Makeup(qemu=self.version, machine="pc-q35-7.2", cpu="default")

    async def plug(self, name: str, nic: Nic) -> None:
        """Plug a card in."""
        self._may("plug")
        self.cards.setdefault(name, set()).add(nic)

    async def unplug(self, name: str, nic: Nic, *, deadline_s: float) -> None:
        """Pull a card."""
        self._may("unplug")
        self.cards.get(name, set()).discard(nic)

    async def plug_tools(self, name: str, image: Path) -> None:
        """Remember the image that a machine got first."""
        self._may("plug_tools")
        self.tools.setdefault(name, image)

    async def running(self) -> dict[str, str]:
        """Return what runs."""
        self._may("running")
        return dict(self.machines)

    async def grow_disk(self, name: str, size_mib: int) -> None:
        """Remember the size."""
        self._may("grow_disk")
        self.disks_mib[name] = size_mib

    def on_stopped(self, listener: Callable[[Stopped], None]) -> None:
        """Remember whom to tell."""
        self._listeners.append(listener)

    async def close(self) -> None:
        """Let go."""

    def dies(self, name: str, reason: str) -> None:
        """End a machine by itself."""
        stopped = Stopped(name, self.machines.pop(name), reason)
        for listener in self._listeners:
            listener(stopped)

    def _may(self, call: str) -> None:
        if call in self.refuse:
            raise HostFailed(f"{call} was refused")


_: Hypervisor = FakeHypervisor()
