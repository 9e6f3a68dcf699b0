"""Which accelerator guests run under, found out by booting one, and whether QEMU's user may use it."""

from __future__ import annotations

import asyncio
import os
import pwd
import stat
import tempfile
from contextlib import ExitStack
from pathlib import Path

from createos_engine.doctor.finding import Finding, failed, passed, warned
from createos_engine.drivers.libvirt.probe import ProbeResult, probe_accelerator
from createos_engine.services.bootfiles import probe_guest
from createos_engine.services.health import TCG_WARNING
from createos_engine.settings import CONFIG_FILE, Settings
from createos_engine.words import Accelerator

KVM = Path("/dev/kvm")


async def accelerator(settings: Settings, result_file: Path) -> Finding:
    """Boot the probe guest, unless *result_file* knows the answer of this boot of the host (design 6).

    A state directory that does not exist yet, or is not ours to write, is left alone.
    """
    guest = await asyncio.to_thread(probe_guest, settings)
    with ExitStack() as closing:
        if not os.access(result_file.parent, os.W_OK):
            result_file = Path(closing.enter_context(tempfile.TemporaryDirectory())) / result_file.name
        found = await probe_accelerator(guest, result_file, settings.accelerator)
    return judge(found, settings.qemu_user, settings.accelerator)


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
    if device.exists() and not os.access(device, os.R_OK | os.W_OK):
        return "sudo createosd doctor"
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
