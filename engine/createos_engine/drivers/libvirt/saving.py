"""Machines that are saved to a file and started from one again."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import libvirt

from createos_engine.drivers.hypervisor import Machine, Makeup, MemoryImage, UnusableImage
from createos_engine.drivers.libvirt.connection import LibvirtConnection
from createos_engine.drivers.libvirt.pipe import feed
from createos_engine.drivers.libvirt.saved_xml import redirect
from createos_engine.drivers.libvirt.savefile import SaveHeader
from createos_engine.drivers.libvirt.seen import Seen
from createos_engine.errors import HostFailed
from createos_engine.words import Accelerator

_RUN = libvirt.VIR_DOMAIN_SAVE_RUNNING
_CPUINFO = Path("/proc/cpuinfo")


async def restore(connection: LibvirtConnection, machine: Machine, image: MemoryImage, pipe: Path, seen: Seen) -> None:
    """Start *machine* from *image*; UnusableImage when that is damaged, HostFailed with libvirt's words else.

    A caller who is cancelled waits until libvirt has come to an end: the machine is there then, or it is not.
    """
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe, 0o600)
    over = threading.Event()

    def change(header: SaveHeader) -> SaveHeader:
        return header.with_xml(redirect(header.xml, machine))

    feeding = asyncio.ensure_future(asyncio.to_thread(feed, image, pipe, change, over.is_set, seen))
    call = connection.call(f"machine {machine.name} was not restored", lambda c: c.restoreFlags(str(pipe), None, _RUN))
    restoring = asyncio.ensure_future(call)
    restoring.add_done_callback(lambda _: over.set())
    try:
        await asyncio.shield(restoring)
    except HostFailed as exc:
        raise _cause(await asyncio.gather(feeding, return_exceptions=True), exc) from exc
    except asyncio.CancelledError:
        over.set()
        raise
    finally:
        await asyncio.gather(feeding, restoring, return_exceptions=True)
        pipe.unlink(missing_ok=True)


def _cause(feeding: Sequence[BaseException | None], failed: HostFailed) -> HostFailed:
    """Return why a restore failed: what was wrong with the image, else what libvirt said."""
    for problem in feeding:
        if isinstance(problem, UnusableImage):
            return problem
        if isinstance(problem, OSError):
            return UnusableImage(f"it cannot be read: {problem.strerror}")
    return failed


async def makeup(connection: LibvirtConnection, accelerator: Accelerator) -> Makeup:
    """Return QEMU's version, the machine type that `q35` means, and the CPU that guests see."""
    kind = "kvm" if accelerator is Accelerator.KVM else "qemu"

    def ask(handle: Any) -> tuple[int, str]:
        return handle.getVersion(), handle.getDomainCapabilities(None, "x86_64", "q35", kind)

    version, xml = await connection.call("libvirt does not say which QEMU there is", ask)
    machine = ET.fromstring(xml).findtext("machine", "q35")
    cpu = _cpu() if accelerator is Accelerator.KVM else "default"
    return Makeup(qemu=f"{version // 1_000_000}.{version // 1000 % 1000}.{version % 1000}", machine=machine, cpu=cpu)


def _cpu() -> str:
    """Return a digest of the host's CPU model and features, which is what guests see under KVM."""
    lines = _CPUINFO.read_text().split("\n\n", 1)[0].splitlines()
    wanted = [line for line in lines if line.startswith(("model name", "flags", "vendor_id"))]
    return hashlib.sha256("\n".join(wanted).encode()).hexdigest()[:16]
