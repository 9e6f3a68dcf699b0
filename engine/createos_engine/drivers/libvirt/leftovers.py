"""QEMUs that an embedded libvirt was asking for their capabilities when its process was killed.

libvirt starts one, talks to it for a tenth of a second and ends it; nobody does when libvirt is gone. Each is told by
its monitor socket below the libvirt root, which is this engine's own.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)


def end_leftovers(root: Path, proc: Path = Path("/proc")) -> list[int]:
    """End the capability QEMUs of *root* and return their pids. To be called before libvirt is opened."""
    mark = f"unix:{root}/lib/qemu/qmp-".encode()
    found = [int(entry.name) for entry in proc.iterdir() if entry.name.isdecimal() and _has(entry, mark)]
    for pid in found:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        log.info("ended a QEMU that a killed daemon was asking for its capabilities", pid=pid)
    return found


def _has(process: Path, mark: bytes) -> bool:
    """Tell whether one argument of a process begins with *mark*."""
    try:
        arguments = (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return any(argument.startswith(mark) for argument in arguments)
