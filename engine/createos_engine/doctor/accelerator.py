"""Which accelerator guests run under, found out by booting one, and whether QEMU's user may use it."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import stat
import tempfile
from contextlib import ExitStack
from pathlib import Path

from createos_images.cache import Cache
from createos_images.kernel import Kernel, find_kernel

from createos_engine.doctor.finding import Finding, failed, passed, warned
from createos_engine.drivers.libvirt.probe import ProbeGuest, ProbeResult, probe_accelerator
from createos_engine.services.health import TCG_WARNING
from createos_engine.settings import CONFIG_FILE, Settings
from createos_engine.words import Accelerator

KVM = Path("/dev/kvm")


async def accelerator(settings: Settings, result_file: Path) -> Finding:
    """Boot the probe guest, unless *result_file* knows the answer of this boot of the host (design 6)."""
    guest = await asyncio.to_thread(probe_guest, Cache(settings.cache_dir), settings.qemu_binary)
    if guest is None:
        return failed("accelerator", "there is no kernel to boot a probe guest with", "make setup")
    with ExitStack() as closing:
        if not os.access(result_file.parent, os.W_OK):
            result_file = Path(closing.enter_context(tempfile.TemporaryDirectory())) / result_file.name
        found = await probe_accelerator(guest, result_file, settings.accelerator)
    return judge(found, settings.qemu_user, settings.accelerator)


def probe_guest(cache: Cache, qemu_binary: str) -> ProbeGuest | None:
    """Return what the probe boots, None while that is not built. Builds nothing."""
    kernel = find_kernel(cache)
    initramfs = newest_initramfs(cache, kernel) if kernel else None
    if not kernel or not initramfs:
        return None
    return ProbeGuest(kernel.vmlinux, initramfs, (kernel.digest, initramfs.stem), qemu_binary)


def newest_initramfs(cache: Cache, kernel: Kernel) -> Path | None:
    """Return the initramfs that was built last for *kernel*."""
    described = [path for path in cache.initramfs.glob("*.json") if _kernel_of(path) == kernel.version]
    images = [path.with_suffix(".img") for path in described]
    return max((path for path in images if path.is_file()), key=lambda path: path.stat().st_mtime, default=None)


def judge(found: ProbeResult, qemu_user: str, wanted: str = "auto", device: Path = KVM) -> Finding:
    """Turn the probe's answer into a finding. Emulation works, and people must know what it is."""
    how = "remembered" if found.cached else f"found out in {found.seconds:g} s"
    if found.accelerator is Accelerator.TCG:
        return warned("accelerator", f"tcg ({how}): {found.reason}; {TCG_WARNING}", _way_to_kvm(wanted, device))
    refusal = _refusal(qemu_user, device)
    if refusal:
        return failed("accelerator", f"kvm ({how}), but {refusal}", f"usermod --append --groups kvm {qemu_user}")
    return passed("accelerator", f"kvm ({how}): {found.reason}")


def _way_to_kvm(wanted: str, device: Path) -> str:
    if wanted == "tcg":
        return f'accelerator = "auto" in {CONFIG_FILE}, if that was not meant'
    if device.exists():
        return "turn on virtualisation in the firmware, or nested virtualisation where this machine is a guest itself"
    return "modprobe kvm_intel || modprobe kvm_amd"


def _refusal(user: str, device: Path) -> str:
    """Return why QEMU's user may not open the device, empty when it may. Every start under KVM would fail then."""
    try:
        node, account = device.stat(), pwd.getpwnam(user)
    except (OSError, KeyError) as exc:
        return f"{user} cannot use {device}: {exc}"
    if node.st_uid == account.pw_uid:
        wanted = stat.S_IRUSR | stat.S_IWUSR
    elif node.st_gid in os.getgrouplist(user, account.pw_gid):
        wanted = stat.S_IRGRP | stat.S_IWGRP
    else:
        wanted = stat.S_IROTH | stat.S_IWOTH
    return "" if node.st_mode & wanted == wanted else f"{user} may not open {device}"


def _kernel_of(description: Path) -> str:
    try:
        return str(json.loads(description.read_text(encoding="utf-8"))["kernel"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
