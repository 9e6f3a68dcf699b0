"""The identity of an engine: four characters in its state directory, and the lock that makes the daemon unique."""

from __future__ import annotations

import fcntl
import os
import pwd
import secrets
import string
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from createos_engine.errors import HostFailed
from createos_engine.paths import Paths

_ALPHABET = string.ascii_lowercase + string.digits
_LENGTH = 4


def make_directories(paths: Paths) -> None:
    """Make the engine's directories: QEMU's user may pass through, nobody may list.

    Nobody at all comes to the channels: libvirt hands QEMU its socket, and all QEMUs have one user, so that a guest
    that has taken over its own could otherwise talk to the agents of the others.
    """
    try:
        for directory in (paths.state_dir, paths.sandboxes, paths.goldens, paths.builds, paths.run_dir):
            directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        paths.channels.mkdir(mode=0o700, exist_ok=True)
        paths.snapshots.mkdir(mode=0o700, exist_ok=True)
        paths.layers.mkdir(mode=0o710, exist_ok=True)
    except OSError as exc:
        raise HostFailed(
            f"{exc.filename} cannot be made: {exc.strerror}", hint="run createosd as root, or set state_dir and run_dir"
        ) from exc


def open_layers(paths: Paths, qemu_user: str) -> None:
    """Let QEMU's user pass into the directory of frozen disks, which all machines read; nobody else may.

    Where there is no such user, libvirt will say so when it is opened.
    """
    with suppress(KeyError):
        os.chown(paths.layers, -1, pwd.getpwnam(qemu_user).pw_gid)


@contextmanager
def own(paths: Paths) -> Iterator[str]:
    """Hold the state directory for this process and yield its instance id, chosen on the first start.

    Raises HostFailed when another daemon holds it. The lock goes with the process, however it ends.
    """
    try:
        handle = os.open(paths.instance, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as exc:
        raise HostFailed(f"{paths.instance} cannot be opened: {exc.strerror}", hint="run createosd as root") from exc
    try:
        _lock(handle, paths)
        known = os.pread(handle, _LENGTH, 0).decode("ascii", "replace")
        if len(known) != _LENGTH or not set(known) <= set(_ALPHABET):
            known = "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
            os.pwrite(handle, f"{known}\n".encode(), 0)
            os.fsync(handle)
        paths.pid_file.write_text(f"{os.getpid()}\n")
        yield known
        paths.pid_file.unlink(missing_ok=True)
    finally:
        os.close(handle)


def _lock(handle: int, paths: Paths) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise HostFailed(
            f"another createosd uses {paths.state_dir}", hint=f"stop it first (its pid is in {paths.pid_file})"
        ) from exc
