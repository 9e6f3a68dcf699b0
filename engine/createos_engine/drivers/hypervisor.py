"""What the engine wants of a hypervisor, in the engine's words. libvirt implements it in drivers/libvirt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from createos_engine.errors import HostFailed
from createos_engine.words import Accelerator


@dataclass(frozen=True)
class DataDisk:
    """A raw file as a further disk, which the guest finds by its serial number (20 characters at most).

    Many machines may have the same file when they only read it.
    """

    file: Path
    serial: str
    readonly: bool


@dataclass(frozen=True)
class Machine:
    """Everything a virtual machine is started from. Paths are absolute and exist, but for the three logs/sockets.

    `name` is also the domain's name; `instance` and `sandbox_id` go into its metadata, `title` is for `virsh list`.
    `channel` is the unix socket QEMU will listen on, `console` the file its serial console is written to.
    """

    name: str
    uuid: str
    instance: str
    sandbox_id: str
    title: str
    vcpu: int
    mem_mib: int
    accelerator: Accelerator
    kernel: Path
    initramfs: Path
    cmdline: str
    overlay: Path
    channel: Path
    console: Path
    tap: str
    mac: str
    genid: str
    cpu_quota_pct: int | None = None
    data_disks: tuple[DataDisk, ...] = ()


@dataclass(frozen=True)
class MemoryImage:
    """A machine's saved memory and devices. `digests` are of its chunks of `chunk_bytes`, SHA-256 in hexadecimal."""

    path: Path
    bytes: int
    chunk_bytes: int
    digests: tuple[str, ...]


@dataclass(frozen=True)
class Makeup:
    """What a memory image depends on besides the machine itself: QEMU's version, machine type and CPU model."""

    qemu: str
    machine: str
    cpu: str


class UnusableImage(HostFailed):
    """A save image that must not be given to QEMU; the reason says what is wrong with it."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the memory image cannot be used: {reason}", hint="resume --cold boots the disk without it")


@dataclass(frozen=True)
class Nic:
    """A further network card of a running machine: the tap it is plugged into, and its MAC."""

    tap: str
    mac: str


@dataclass(frozen=True)
class Stopped:
    """A machine that ended without being asked to. `reason` is the hypervisor's word (crashed, shutdown, failed)."""

    name: str
    sandbox_id: str
    reason: str


class Hypervisor(Protocol):
    """Starts, finds and ends virtual machines. Every call is safe to repeat; failures are HostFailed."""

    async def start(self, machine: Machine) -> None:
        """Start a machine, or raise HostFailed with what QEMU said. Nothing of it is left after a failure."""

    async def destroy(self, name: str) -> None:
        """End a machine at once. One that is already gone is fine."""

    async def halt(self, name: str) -> None:
        """Stop the processors of a machine until `go_on`; one that is stopped already is fine."""

    async def save(self, name: str, to: Path) -> None:
        """Write memory and devices of a halted machine to a new file, whose `digests` are known afterwards.

        The machine stays until `end`, also after a failure, unless it has ended by itself.
        """

    async def end(self, name: str) -> None:
        """End a machine whose memory is saved; one that is gone is fine."""

    async def digests(self, image: Path) -> tuple[str, ...]:
        """Return the digests of an image that was just saved; OSError when it cannot be read.

        It counts as verified until somebody writes to it.
        """

    async def restore(self, machine: Machine, image: MemoryImage, pipe: Path) -> None:
        """Start a machine from an image that any machine of the same makeup was saved to.

        Every chunk is compared with its digest before QEMU sees it; a damaged image is UnusableImage, and nothing of
        the machine is left after any failure. *pipe* is a path for the time of the call.
        """

    async def go_on(self, name: str) -> None:
        """Let a halted machine run, whatever has become of its save; one that runs is fine."""

    async def entitle(self, name: str, title: str) -> None:
        """Give a machine another title."""

    async def makeup(self, accelerator: Accelerator) -> Makeup:
        """Return what images that are saved here depend on."""

    async def plug(self, name: str, nic: Nic) -> None:
        """Give a running machine a further network card; one that it has already is fine."""

    async def unplug(self, name: str, nic: Nic, *, deadline_s: float) -> None:
        """Take a network card away; one that is gone, with or without its machine, is fine.

        The guest must let go of it: HostFailed when it does not in time. The card stays then, and may go later.
        """

    async def plug_tools(self, name: str, image: Path) -> None:
        """Give a running machine the read-only tools disk (PROTOCOL.md, `mount`); one that it has already is fine.

        Many machines may have the same *image*. One that is saved with it needs the file again when it is restored.
        """

    async def running(self) -> dict[str, str]:
        """Return {machine name: sandbox id} of the running machines that carry this instance's tag."""

    async def grow_disk(self, name: str, size_mib: int) -> None:
        """Give a running machine's root disk *size_mib*; one that is as large already stays as it is."""

    def on_stopped(self, listener: Callable[[Stopped], None]) -> None:
        """Call *listener* in the event loop whenever one of our machines ends by itself."""

    async def close(self) -> None:
        """Let go of the hypervisor. Machines keep running."""
