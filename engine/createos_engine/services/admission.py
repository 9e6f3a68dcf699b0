"""Whether the host has room for one more machine. Asked before the intent row is written: nothing is done yet."""

from __future__ import annotations

import shutil
from pathlib import Path

from createos_engine.errors import Unavailable

_MEMINFO = Path("/proc/meminfo")
# What QEMU itself takes beside the guest's memory (design 18: 211 MiB resident for a 256 MiB guest, most of it guest).
QEMU_OVERHEAD_MIB = 64


def available_memory_mib(meminfo: Path = _MEMINFO) -> int:
    """Return what the kernel says can be used without swapping (MemAvailable), in MiB."""
    for line in meminfo.read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) // 1024
    return 0


def require_memory(wanted_mib: int, *, promised_mib: int, reserve_mib: int, available_mib: int) -> None:
    """Raise Unavailable unless the guest fits beside what is promised to machines that are still booting."""
    free = available_mib - promised_mib - reserve_mib
    if wanted_mib + QEMU_OVERHEAD_MIB > free:
        raise Unavailable(
            f"not enough free memory for a sandbox of {wanted_mib} MiB: {max(free, 0)} MiB can be given away",
            hint="remove or pause sandboxes, take a smaller shape, or lower memory_reserve_mib",
        )


def require_space(directory: Path, reserve_mib: int) -> None:
    """Raise Unavailable when the file system of *directory* has less than *reserve_mib* MiB left."""
    free = shutil.disk_usage(directory).free // 2**20
    if free < reserve_mib:
        raise Unavailable(
            f"not enough free disk space in {directory}: {free} MiB are left, {reserve_mib} MiB are kept in reserve",
            hint="remove sandboxes or free some space",
        )


def shortage(directory: Path, wanted_mib: int) -> str:
    """Return what to say of a write to *directory* that failed when it may have lacked space; empty if it did not."""
    free = shutil.disk_usage(directory).free // 2**20
    if free >= wanted_mib:
        return ""
    return f"up to {wanted_mib} MiB are needed in {directory} and {free} MiB are free"
