"""What machines are booted with: kernel, initramfs, and the accelerator that was found to run guests."""

from __future__ import annotations

import asyncio
from pathlib import Path

from createos_images.agent import ensure_agent
from createos_images.cache import Cache
from createos_images.errors import ImageError
from createos_images.initramfs import build_initramfs
from createos_images.kernel import find_kernel
from createos_images.progress import silent
from createos_images.tools import find_tools

from createos_engine.drivers.libvirt.domain_xml import DEFAULT_CMDLINE
from createos_engine.drivers.libvirt.probe import ProbeGuest, probe_accelerator
from createos_engine.errors import HostFailed
from createos_engine.services.progress import BootFiles
from createos_engine.settings import Settings


async def find_boot_files(settings: Settings, probe_cache: Path) -> BootFiles:
    """Return what to boot with; probes the accelerator unless that is known. HostFailed says what is missing."""
    guest = await asyncio.to_thread(probe_guest, settings)
    tools = await asyncio.to_thread(find_tools, Cache(settings.cache_dir))
    found = await probe_accelerator(guest, probe_cache, settings.accelerator)
    return BootFiles(
        kernel=guest.kernel,
        initramfs=guest.initramfs,
        cmdline=DEFAULT_CMDLINE,
        accelerator=found.accelerator,
        accelerator_reason=found.reason,
        digests=guest.digests,
        tools=tools.path if tools else None,
    )


def probe_guest(settings: Settings) -> ProbeGuest:
    """Return the kernel and the initramfs of the cache, which is also what the probe boots. Downloads nothing."""
    cache = Cache(settings.cache_dir)
    try:
        kernel = find_kernel(cache)
        if kernel is None:
            raise HostFailed(f"there is no guest kernel in {settings.cache_dir}", hint="run make setup")
        initramfs = build_initramfs(cache, kernel, ensure_agent(cache, silent), silent)
    except ImageError as exc:
        raise HostFailed(exc.reason, hint=exc.hint) from exc
    return ProbeGuest(kernel.vmlinux, initramfs.path, (kernel.digest, initramfs.digest), settings.qemu_binary)
