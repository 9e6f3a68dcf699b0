"""Where a synchronisation keeps what it knows, and that only one process at a time works on a pair."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from createos_cli.sync.failures import Stop


def state_directory(environ: Mapping[str, str], home: Path) -> Path:
    """Return the directory of all synchronisations of this user (XDG base directories), made when missing."""
    base = environ.get("XDG_STATE_HOME", "")
    path = (Path(base) if base.startswith("/") else home / ".local" / "state") / "createos" / "sync"
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as exc:
        raise Stop(f"{path} cannot be made: {exc.strerror}", hint="set XDG_STATE_HOME to a directory of yours") from exc
    return path


def pair_name(sandbox_id: str, local: str, remote: str) -> str:
    """Return the name under which a pair is known."""
    text = "\0".join((sandbox_id, local, remote)).encode(errors="surrogateescape")
    return f"{sandbox_id}-{hashlib.sha256(text).hexdigest()[:16]}"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file; Stop when another process holds it. It is left behind: removing it could let two in."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "?"
            raise Stop(
                f"these two directories are already being synchronised (process {holder})",
                hint="stop it first, or choose another --local or --remote",
            ) from exc
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
