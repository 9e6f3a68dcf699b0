"""The local side: a directory of this machine that is read and changed. The guest agent's `syncs` package is its twin.

Every change names what must be there now; anything else is left alone and raises Refused. Files become visible whole.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from createos_cli.sync.confined import EXCHANGE, NO_REPLACE, Changed, Confined, Judge, described, look, rename, usable
from createos_cli.sync.entries import ABSENT, STAGING, Entry, Kind, Tree
from createos_cli.sync.failures import Code, Refused, refused
from createos_cli.sync.local_scan import scan
from createos_cli.sync.skips import Skips

PIECE_BYTES = 128 * 1024
# A file that was written less than this ago could be written again without a sign: kernels count time in ticks.
SETTLED_NS = 50_000_000
# What the other side cannot fill: this much stays free on the file system.
RESERVE_BYTES = 64 * 1024 * 1024
_SHARED, _OURS = 0o755, 0o7022
_OPEN = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class LocalTree:
    """One directory. The caller makes sure that no other process synchronises it with the same place (state.py)."""

    def __init__(self, root: str, skips: Skips, judge: Judge = usable) -> None:
        self.files = Confined(root)
        self._skips = skips
        self._judge = judge
        self._mine = f"{STAGING}/{os.getpid()}-{secrets.token_hex(4)}"
        self._staging = -1

    def close(self) -> None:
        """Leave nothing half-written behind."""
        if self._staging >= 0:
            os.close(self._staging)
            self._staging = -1
            self._remove_staging(self._mine)
        self.files.close()

    def sweep(self) -> None:
        """Remove what processes that are no more have left half-written."""
        with suppress(OSError, Changed):
            descriptor = self.files.walk(STAGING)
            try:
                names = os.listdir(descriptor)  # noqa: PTH208
            finally:
                os.close(descriptor)
            for name in names:
                if not _is_alive(name.partition("-")[0]):
                    self._remove_staging(f"{STAGING}/{name}")

    def scan(self) -> Tree:
        """Return everything that is there."""
        return scan(self.files, self._skips, self._judge)

    @contextmanager
    def reading(self, path: str, expect: Entry) -> Iterator[Iterator[bytes]]:
        """Open a file that must be in the expected state, and give its bytes; Refused when it changes meanwhile."""
        with _translated(), self.files.parent(path) as (directory, name):
            descriptor = os.open(name, os.O_RDONLY | _OPEN, dir_fd=directory)
        try:
            yield self._pieces(descriptor, path, expect)
        finally:
            os.close(descriptor)

    def _pieces(self, descriptor: int, path: str, expect: Entry) -> Iterator[bytes]:
        left = expect.version.size
        _require_version(descriptor, path, expect)
        with _translated():
            while left and (piece := os.read(descriptor, min(PIECE_BYTES, left))):
                left -= len(piece)
                yield piece
        if left:
            raise _changed(path)
        _require_version(descriptor, path, expect)

    def digest(self, path: str, expect: Entry) -> bytes:
        """Read a file and return its SHA-256."""
        digest = hashlib.sha256()
        with self.reading(path, expect) as pieces:
            for piece in pieces:
                digest.update(piece)
        return digest.digest()

    def mkdir(self, path: str, mode: int) -> Entry:
        """Make a directory."""
        with _translated(), self.files.parent(path) as (directory, name):
            os.mkdir(name, 0o700, dir_fd=directory)
        return self.chmod(path, Entry(Kind.DIRECTORY), mode)

    def chmod(self, path: str, expect: Entry, mode: int) -> Entry:
        """Change the shared bits of a mode; the others stay."""
        with _translated(), self.files.parent(path) as (directory, name):
            descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
            try:
                found = os.fstat(descriptor)
                now = described(found)
                if now.kind is not expect.kind or (now.kind is Kind.FILE and now.version != expect.version):
                    raise _changed(path)
                Path(f"/proc/self/fd/{descriptor}").chmod(found.st_mode & _OURS | mode & _SHARED)
            finally:
                os.close(descriptor)
            return look(directory, name)

    def symlink(self, path: str, target: str, expect: Entry) -> Entry:
        """Make a link, in place of the file or link that is expected there."""
        with _translated(), self.files.parent(path) as (directory, name):
            temp = secrets.token_hex(8)
            os.symlink(target, temp, dir_fd=self._stage())
            return self._place(temp, directory, name, expect)

    def write(self, path: str, pieces: Iterator[bytes], size: int, mode: int, expect: Entry) -> tuple[Entry, bytes]:
        """Write a file of *size* bytes in place of what is expected there; return it and its digest."""
        digest = hashlib.sha256()
        with _translated():
            self._require_room(size)
            temp = secrets.token_hex(8)
            descriptor = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN, 0o600, dir_fd=self._stage())
            try:
                for piece in pieces:
                    digest.update(piece)
                    _write_all(descriptor, piece)
                with self.files.parent(path) as (directory, name):
                    _finish(descriptor, mode, directory, name)
                    return self._place(temp, directory, name, expect), digest.digest()
            finally:
                os.close(descriptor)
                with suppress(FileNotFoundError):
                    os.unlink(temp, dir_fd=self._staging)

    def remove(self, path: str, expect: Entry) -> None:
        """Remove a file, a link or an empty directory that is still what is expected."""
        with _translated(), self.files.parent(path) as (directory, name):
            if expect.kind is Kind.DIRECTORY:
                os.rmdir(name, dir_fd=directory)
                return
            _require(directory, name, path, expect)
            staging, temp = self._stage(), secrets.token_hex(8)
            rename(directory, name, staging, temp)
            if not _is_same(look(staging, temp), expect):
                self._give_back(temp, directory, name)
                raise _changed(path)
            os.unlink(temp, dir_fd=staging)

    def rename(self, path: str, to: str, expect: Entry) -> Entry:
        """Give a file, link or directory a name that nothing has."""
        with (
            _translated(),
            self.files.parent(path) as (directory, name),
            self.files.parent(to) as (new_directory, new_name),
        ):
            _require(directory, name, path, expect)
            if not rename(directory, name, new_directory, new_name, NO_REPLACE):
                _require(new_directory, new_name, to, ABSENT)
                rename(directory, name, new_directory, new_name)
            return look(new_directory, new_name)

    def _place(self, temp: str, directory: int, name: str, expect: Entry) -> Entry:
        staging = self._stage()
        if expect.kind is Kind.ABSENT:
            done = rename(staging, temp, directory, name, NO_REPLACE)
        else:
            _require(directory, name, name, expect)
            done = rename(staging, temp, directory, name, EXCHANGE)
            if done and not _is_same(look(staging, temp), expect):
                rename(staging, temp, directory, name, EXCHANGE)
                raise _changed(name)
        if not done:
            _require(directory, name, name, expect)
            rename(staging, temp, directory, name)
        elif expect.kind is not Kind.ABSENT:
            os.unlink(temp, dir_fd=staging)
        return look(directory, name)

    def _give_back(self, temp: str, directory: int, name: str) -> None:
        """Return an edited file to its name, or beside it when somebody has taken the name."""
        try:
            if rename(self._stage(), temp, directory, name, NO_REPLACE):
                return
        except FileExistsError:
            pass
        rename(self._stage(), temp, directory, f"{name}.kept-{time.time_ns()}")

    def _stage(self) -> int:
        if self._staging < 0:
            for part in (STAGING, self._mine):
                with suppress(FileExistsError):
                    os.mkdir(part, 0o700, dir_fd=self.files.fd)
            self._staging = self.files.walk(self._mine)
        return self._staging

    def _require_room(self, size: int) -> None:
        room = os.fstatvfs(self.files.fd)
        if size + RESERVE_BYTES > room.f_bavail * room.f_frsize:
            raise Refused(Code.NO_SPACE, f"{size} bytes do not fit on the disk of {self.files.root}")

    def _remove_staging(self, path: str) -> None:
        shutil.rmtree(path, ignore_errors=True, dir_fd=self.files.fd)
        with suppress(OSError):
            os.rmdir(STAGING, dir_fd=self.files.fd)


def is_settled(entry: Entry) -> bool:
    """Say whether a file was last written so long ago that another write will show in its version."""
    return time.time_ns() - max(entry.version.mtime_ns, entry.version.ctime_ns) > SETTLED_NS


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except Changed as exc:
        raise Refused(Code.CHANGED, f"{exc} is not there any more") from exc
    except OSError as exc:
        raise refused(exc) from exc


def _changed(path: str) -> Refused:
    return Refused(Code.CHANGED, f"{path} has changed meanwhile")


def _require_version(descriptor: int, path: str, expect: Entry) -> None:
    now = described(os.fstat(descriptor))
    if now.kind is not Kind.FILE or now.version != expect.version:
        raise _changed(path)


def _require(directory: int, name: str, path: str, expect: Entry) -> None:
    now = look(directory, name)
    has_version = now.kind in (Kind.FILE, Kind.SYMLINK)
    if now.kind is not expect.kind or (has_version and now.version != expect.version):
        raise _changed(path)


def _is_same(now: Entry, expect: Entry) -> bool:
    """Compare without the ctime, which a rename moves."""
    return now.kind is expect.kind and now.version._replace(ctime_ns=0) == expect.version._replace(ctime_ns=0)


def _finish(descriptor: int, mode: int, directory: int, name: str) -> None:
    """Set the mode, and a time that no clock tick of the kernel has: a write right after it is a change of the time."""
    now = look(directory, name)
    kept = 0
    if now.kind is Kind.FILE:
        kept = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode & _OURS
    os.fchmod(descriptor, mode & _SHARED | kept)
    stamp = time.time_ns() | 1
    os.utime(descriptor, ns=(stamp, stamp))


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
