"""Checks of the machine below the engine: root, programs, devices, space, memory, users, PATH."""

from __future__ import annotations

import grp
import os
import pwd
import re
import shutil
import sys
from pathlib import Path

from createos_engine.doctor.finding import Finding, failed, passed, warned
from createos_engine.drivers.command import run
from createos_engine.errors import HostFailed

OLDEST_QEMU = (7, 2)
SMALLEST_SHAPE_MIB = 256
COMFORTABLE_MEMORY_MIB = 1024
COMFORTABLE_DISK_MIB = 10 * 1024


def root() -> Finding:
    """The daemon makes links, rules and machines, and only root may."""
    if os.geteuid() == 0:
        return passed("root", "running as root")
    return failed(
        "root", f"running as user {os.geteuid()}; links, rules and machines need root", "sudo createosd doctor"
    )


def qemu_version(printed: str) -> tuple[int, ...]:
    """Return the version in what `qemu-system-x86_64 --version` printed, empty if there is none."""
    found = re.search(r"version (\d+)\.(\d+)(?:\.(\d+))?", printed)
    return tuple(int(part) for part in found.groups(default="0")) if found else ()


async def qemu(binary: str) -> Finding:
    """The program that runs the machines must be there and new enough."""
    fix = "apt-get install qemu-system-x86 qemu-utils"
    if not shutil.which("qemu-img"):
        return failed("qemu", "there is no qemu-img", fix)
    try:
        version = qemu_version(await run(binary, "--version", deadline_s=5))
    except HostFailed as exc:
        return failed("qemu", exc.reason, fix)
    named = ".".join(map(str, version)) or "of unknown version"
    if version[:2] < OLDEST_QEMU:
        return failed("qemu", f"{binary} is {named}; 7.2 is the oldest that works", fix)
    return passed("qemu", f"{binary} {named}")


def tun(device: Path = Path("/dev/net/tun")) -> Finding:
    """Taps are made through this device; opening it makes nothing yet."""
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        return failed(
            "tun", f"there is no {device}", f"modprobe tun || {{ mkdir -p {device.parent}; mknod {device} c 10 200; }}"
        )
    except PermissionError:
        return failed("tun", f"{device} may not be opened by this user", "sudo createosd doctor")
    except OSError as exc:
        return failed("tun", f"{device} cannot be opened: {exc.strerror}", "modprobe tun")
    return passed("tun", f"{device} opens")


def disk_space(check: str, directory: Path, reserve_mib: int) -> Finding:
    """Judge the free space where *directory* is or will be; *reserve_mib* is what creates leave alone."""
    there = next(path for path in (directory, *directory.parents) if path.exists())
    free_mib = shutil.disk_usage(there).free // 2**20
    detail = f"{free_mib:,} MiB free for {directory}"
    fix = f"free space on the file system of {there}, or set another directory in /etc/createos/config.toml"
    if free_mib < reserve_mib + SMALLEST_SHAPE_MIB:
        return failed(check, f"{detail}; creates leave {reserve_mib:,} MiB alone, so none can work", fix)
    if free_mib < COMFORTABLE_DISK_MIB:
        return warned(check, f"{detail}; a sandbox may write 10,240 MiB of its own", fix)
    return passed(check, detail)


def memory(reserve_mib: int, meminfo: Path = Path("/proc/meminfo")) -> Finding:
    """Judge the memory that can still be given away; *reserve_mib* is what creates leave alone."""
    found = re.search(r"^MemAvailable: +(\d+) kB$", meminfo.read_text(), re.MULTILINE)
    free_mib = int(found[1]) // 1024 if found else 0
    detail = f"{free_mib:,} MiB available, {reserve_mib:,} MiB of it kept for the host"
    fix = "end programs or remove sandboxes (createos sandbox list --all), or lower memory_reserve_mib"
    if free_mib - reserve_mib < SMALLEST_SHAPE_MIB:
        return failed("memory", f"{detail}; the smallest shape needs {SMALLEST_SHAPE_MIB} MiB", fix)
    if free_mib - reserve_mib < COMFORTABLE_MEMORY_MIB:
        return warned("memory", f"{detail}; only small shapes fit", fix)
    return passed("memory", detail)


def qemu_user(name: str) -> Finding:
    """QEMU runs as an unprivileged user, so that who breaks out of a machine is nobody."""
    try:
        uid = pwd.getpwnam(name).pw_uid
    except KeyError:
        command = (
            f"useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin {name}"
        )
        return failed("qemu-user", f"there is no user {name} for QEMU to run as", command)
    if uid == 0:
        return failed("qemu-user", f"user {name} is root", "set qemu_user to an unprivileged user")
    return passed("qemu-user", f"QEMU runs as {name} ({uid})")


def socket_group(name: str) -> Finding:
    """Members of this group use the API socket without root."""
    try:
        members = grp.getgrnam(name).gr_mem
    except KeyError:
        return warned(
            "group", f"there is no group {name}, so only root may use the API socket", f"groupadd --system {name}"
        )
    return passed("group", f"group {name} may use the API socket, members: {', '.join(members) or 'none yet'}")


def command_on_path(search_path: str | None = None, ours: Path = Path(sys.executable).parent / "createos") -> Finding:
    """`createos` is also the name of the hosted service's client: say which one the PATH finds."""
    found = shutil.which("createos", path=search_path)
    link = f"ln -s {ours} /usr/local/bin/createos"
    if not found:
        return warned("command", "the PATH finds no createos", link)
    if Path(found).resolve() != ours.resolve():
        return warned("command", f"the PATH finds {found}, which is another createos than {ours}", f"call it as {ours}")
    return passed("command", f"{found} is this installation's")
