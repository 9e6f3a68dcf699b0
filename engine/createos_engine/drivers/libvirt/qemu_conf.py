"""qemu.conf of the embedded libvirt driver (design 6): QEMU without privileges, seccomp on, no helper daemons."""

from __future__ import annotations

import grp
import pwd
from pathlib import Path

from createos_engine.errors import HostFailed

# libvirt sets these up through daemons or kernel features that need not be there; the rest of the confinement stays.
_LINES = (
    'stdio_handler = "file"',
    "seccomp_sandbox = 1",
    "dynamic_ownership = 1",
    "remember_owner = 0",
    "cgroup_controllers = []",
    "namespaces = []",
    'security_driver = "none"',
)


def write(root: Path, user: str) -> None:
    """Write <root>/etc/qemu.conf for QEMU running as *user*; raise HostFailed when there is no such user."""
    try:
        entry = pwd.getpwnam(user)
        group = grp.getgrgid(entry.pw_gid).gr_name
    except KeyError as exc:
        raise HostFailed(f"there is no user {user} to run QEMU as", hint="run make setup, or set qemu_user") from exc
    directory = root / "etc"
    root.mkdir(mode=0o711, exist_ok=True)
    directory.mkdir(exist_ok=True)
    lines = (f'user = "{user}"', f'group = "{group}"', *_LINES)
    (directory / "qemu.conf").write_text("".join(f"{line}\n" for line in lines))
