"""QEMUs that are ended and collected at once: libvirt looks only every 0.2 s whether one has gone."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import libvirt

_LIBC = ctypes.CDLL(None, use_errno=True)
_PIDFD_GETFD = 438
_PATIENCE_S = 5.0
_LOOK_AGAIN_S = 0.002


def end(connection: Any, name: str, pid_file: Path) -> None:
    """End a machine and wait until libvirt has noticed; nothing happens when its process cannot be told for certain."""
    if _kill(pid_file, name):
        until = time.monotonic() + _PATIENCE_S
        while _known(connection, name) and time.monotonic() < until:
            time.sleep(_LOOK_AGAIN_S)


def _known(connection: Any, name: str) -> bool:
    try:
        connection.lookupByName(name)
    except libvirt.libvirtError as exc:
        return bool(exc.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN)
    return True


def _kill(pid_file: Path, name: str) -> bool:
    """Kill and collect the QEMU of a machine, and tell whether that was done."""
    try:
        pid = int(pid_file.read_text())
        process = os.pidfd_open(pid)
    except (OSError, ValueError):
        return False
    try:
        # The number may have become another's before it was opened.
        if f"guest={name},".encode() not in Path(f"/proc/{pid}/cmdline").read_bytes():
            return False
        with _open_sockets(process, pid):
            signal.pidfd_send_signal(process, signal.SIGKILL)
            _until_dead(process)
            with suppress(ChildProcessError):  # it is somebody else's child when another daemon has started it
                os.waitid(os.P_PIDFD, process, os.WEXITED | os.WNOHANG)
    except OSError:
        return False
    finally:
        os.close(process)
    return True


@contextmanager
def _open_sockets(process: int, pid: int) -> Iterator[None]:
    """Keep the sockets of a process open in a block: libvirt does not hear of its end before it was collected.

    What libvirt finds still there it looks for again after 0.2 s.
    """
    kept: list[int] = []
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            if _is_socket(entry):
                copy = _LIBC.syscall(_PIDFD_GETFD, process, int(entry.name), 0)
                kept += [copy] if copy >= 0 else []
        yield
    finally:
        for copy in kept:
            os.close(copy)


def _is_socket(descriptor: Path) -> bool:
    try:
        return str(descriptor.readlink()).startswith("socket:")
    except OSError:  # it was closed meanwhile
        return False


def _until_dead(process: int) -> None:
    """Wait for the end of a process, but not for ever: one that waits for a disk cannot be killed."""
    poll = select.poll()
    poll.register(process, select.POLLIN)
    poll.poll(_PATIENCE_S * 1000)
