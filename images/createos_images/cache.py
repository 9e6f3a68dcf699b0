"""The cache directory that engines and test runs share. A person can read it, everything in it can be rebuilt.

    kernel/<version>/vmlinux, modules/      a kernel; a directory put here by hand works the same
    kernel/current                          symbolic link to the kernel that is used
    agent/<digest of the sources>/agent     the guest agent, agent.json beside it
    initramfs/<digest>.img                  named by its own SHA-256, <digest>.json says what is inside
    bases/<digest>.raw                      an immutable ext4 file system, <digest>.json says which and how to run it
    tools/<digest>.img                      the tools disk of guests that use S3, <digest>.json says what is inside
    tools/current                           symbolic link to the one that is used
    names.json                              image name → digest of its base
    engines/                                one file for each engine that uses the cache: where its state is
    .locks/                                 one lock file for each thing that can be built

Results are never changed once they have their name: files 0444, directories 0755, since QEMU runs as another user.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from createos_images.command import run
from createos_images.errors import ImageError
from createos_images.progress import Progress

DEFAULT_CACHE = Path("/var/cache/createos")
NOT_WRITABLE = "run make setup as root, or choose another directory with CREATEOS_CACHE_DIR"
LOCK_DEADLINE_S = 3600.0
LOCK_POLL_S = 0.2
SYNC_TIMEOUT_S = 300.0
PARTIAL = ".partial-"
RANDOM_CHARACTERS = 8
"""How many of them `tempfile` appends to a name."""


@dataclass(frozen=True)
class Cache:
    """Names of the places in one cache directory. Making the value touches nothing."""

    root: Path

    @property
    def kernels(self) -> Path:
        """One directory for each kernel version."""
        return self.root / "kernel"

    @property
    def agents(self) -> Path:
        """One directory for each digest of the agent's sources."""
        return self.root / "agent"

    @property
    def initramfs(self) -> Path:
        """Images, each named by its digest."""
        return self.root / "initramfs"

    @property
    def bases(self) -> Path:
        """File systems, each named by its digest."""
        return self.root / "bases"

    @property
    def tools(self) -> Path:
        """Tools disks, each named by its digest. Saved machines need the one they had: none is removed."""
        return self.root / "tools"

    @property
    def names(self) -> Path:
        """The index of the bases."""
        return self.root / "names.json"


@contextmanager
def building(cache: Cache, what: str, progress: Progress) -> Iterator[None]:
    """Hold the lock of *what*, so that it is built once; remove what an interrupted build of it left.

    The caller looks again whether the thing exists: another process may have built it during the wait.
    """
    with _lock_file(cache, what) as file:
        _wait_for(file.fileno(), what, progress)
        remove_partials(cache, what)
        yield


def remove_partials(cache: Cache, what: str) -> None:
    """Remove what interrupted builds of *what* left. Nobody else may be building it."""
    for leftover in cache.root.glob(f"*/{PARTIAL}{_file_name(what)}.{'?' * RANDOM_CHARACTERS}"):
        _remove(leftover)


@contextmanager
def partial(parent: Path, what: str) -> Iterator[Path]:
    """Give an empty temporary directory in *parent* for a build of *what*; it is gone afterwards.

    Only its owner may enter: a tree holds set-uid programs that nobody should run on the host. Hold `building(what)`
    around it. Being in the same directory as the results, they can be renamed to their names.
    """
    place = Path(tempfile.mkdtemp(prefix=f"{PARTIAL}{_file_name(what)}.", dir=directory(parent)))
    try:
        yield place
    finally:
        _remove(place)


def publish(temporary: Path, target: Path) -> Path:
    """Give a finished file or directory its name for good: readable by all, on disk, and then renamed."""
    for path in (temporary, *temporary.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o444)
    _sync(temporary)
    if target.is_dir():
        _remove(target)
    temporary.rename(target)
    return target


def publish_text(text: str, target: Path) -> Path:
    """Write a small file in one step; readers see the old or the new text."""
    temporary = directory(target.parent) / f"{target.name}.{os.getpid()}.new"
    temporary.write_text(text, encoding="utf-8")
    return publish(temporary, target)


def names(cache: Cache) -> dict[str, str]:
    """Return the index: image name → digest."""
    try:
        found: dict[str, str] = json.loads(cache.names.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as exc:
        raise ImageError(f"{cache.names} cannot be read: {exc}", "delete it and run make setup") from exc
    return found


def name_base(cache: Cache, name: str, digest: str, progress: Progress) -> None:
    """Let *name* mean the base with *digest* from now on."""
    with building(cache, "names", progress):
        publish_text(json.dumps({**names(cache), name: digest}, indent=2, sort_keys=True) + "\n", cache.names)


def directory(path: Path) -> Path:
    """Make a directory of the cache that everybody may read, if it is missing, and return it."""
    missing = [place for place in (path, *path.parents) if not place.exists()]
    try:
        for place in reversed(missing):
            place.mkdir(exist_ok=True)
            place.chmod(0o755)
    except OSError as exc:
        raise ImageError(f"the cache directory {path} cannot be made: {exc.strerror}", NOT_WRITABLE) from exc
    return path


def _lock_file(cache: Cache, what: str) -> TextIO:
    path = directory(cache.root / ".locks") / _file_name(what)
    try:
        return path.open("w")
    except OSError as exc:
        raise ImageError(
            f"{what} cannot be built: {cache.root} cannot be written: {exc.strerror}", NOT_WRITABLE
        ) from exc


def _wait_for(lock: int, what: str, progress: Progress) -> None:
    deadline = time.monotonic() + LOCK_DEADLINE_S
    told = False
    while not _try_lock(lock):
        if not told:
            progress(f"waiting for another process that builds {what}")
            told = True
        if time.monotonic() > deadline:
            raise ImageError(f"another process has been building {what} for an hour", "end it and try again")
        time.sleep(LOCK_POLL_S)


def _try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _file_name(what: str) -> str:
    """Return a name without colons: apt finds no keys below a directory with one."""
    return what.replace(":", "-").replace("/", "-")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Bring a file, or all that is in a directory, to the disk."""
    if path.is_dir():
        run("sync", "--file-system", path, timeout_s=SYNC_TIMEOUT_S)
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
