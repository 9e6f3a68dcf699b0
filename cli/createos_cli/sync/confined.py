"""Paths below one directory, walked without following any link: whatever the guest says, it stays inside."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from createos_cli.sync.entries import Entry, Kind, Version, link_problem, path_is_clean, shared_mode

NO_REPLACE, EXCHANGE = 1, 2
_RENAMEAT2 = {"x86_64": 316, "aarch64": 276}
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# What a file system that cannot rename with conditions answers, or a kernel that does not know the call.
_NO_FLAGS = (errno.EINVAL, errno.ENOSYS)
SPECIAL = "neither a file, a directory nor a link"

# What decides whether something that was found may be carried over.
Judge = Callable[[str, Entry], Entry]


class Changed(Exception):
    """Something is not what was expected; a new scan tells what it is."""


class Confined:
    """A directory and everything below it, by descriptor."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.fd = os.open(root, _DIRECTORY)
        self.device = os.fstat(self.fd).st_dev

    def close(self) -> None:
        """Close the directory."""
        os.close(self.fd)

    def is_there(self) -> bool:
        """Say whether the root is still the directory that was opened."""
        try:
            now = Path(self.root).lstat()
        except OSError:
            return False
        return (now.st_dev, now.st_ino) == (self.device, os.fstat(self.fd).st_ino)

    @contextmanager
    def parent(self, path: str) -> Iterator[tuple[int, str]]:
        """Open the directory that holds *path*; yield it and the last part. Raises Changed when it is not there."""
        if not path_is_clean(path):
            raise ValueError(f"{path!r} is no path below the root")
        directory, _, name = path.rpartition("/")
        descriptor = self.walk(directory)
        try:
            yield descriptor, name
        finally:
            os.close(descriptor)

    def walk(self, directory: str) -> int:
        """Open a directory part by part; the caller closes it."""
        descriptor = os.dup(self.fd)
        for part in directory.split("/") if directory else ():
            try:
                below = os.open(part, _DIRECTORY, dir_fd=descriptor)
            except (FileNotFoundError, NotADirectoryError) as exc:
                raise Changed(directory) from exc
            except OSError as exc:
                raise Changed(directory) if exc.errno == errno.ELOOP else exc from exc
            finally:
                os.close(descriptor)
            descriptor = below
            if os.fstat(descriptor).st_dev != self.device:
                os.close(descriptor)
                raise Changed(directory)
        return descriptor


def look(directory: int, name: str) -> Entry:
    """Return what a name in an open directory is."""
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
        target = os.readlink(name, dir_fd=directory) if stat.S_ISLNK(found.st_mode) else ""
    except FileNotFoundError:
        return Entry(Kind.ABSENT)
    return described(found, target)


def described(found: os.stat_result, target: str = "") -> Entry:
    """Return the entry for what stat said."""
    kind = kind_of(found.st_mode)
    return Entry(kind, shared_mode(kind, found.st_mode), version_of(found), target)


def kind_of(mode: int) -> Kind:
    """Return the kind that a mode stands for."""
    if stat.S_ISREG(mode):
        return Kind.FILE
    if stat.S_ISDIR(mode):
        return Kind.DIRECTORY
    return Kind.SYMLINK if stat.S_ISLNK(mode) else Kind.OTHER


def version_of(found: os.stat_result) -> Version:
    """Return what identifies a state of a file."""
    return Version(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


def usable(path: str, entry: Entry) -> Entry:
    """Return the entry, or one of kind OTHER with the reason when it is not carried over."""
    why = link_problem(path, entry.target) if entry.kind is Kind.SYMLINK else ""
    return Entry(Kind.OTHER, why=why) if why else as_found(path, entry)


def as_found(_: str, entry: Entry) -> Entry:
    """Return the entry, wherever a link leads: for links that nothing on this machine will follow."""
    return Entry(Kind.OTHER, why=entry.why or SPECIAL) if entry.kind is Kind.OTHER else entry


def rename(old_directory: int, old: str, new_directory: int, new: str, flags: int = 0) -> bool:
    """Rename with NO_REPLACE or EXCHANGE; False when this file system or kernel cannot. Raises OSError."""
    number = _RENAMEAT2.get(platform.machine())
    if not flags:
        os.rename(old, new, src_dir_fd=old_directory, dst_dir_fd=new_directory)
        return True
    if number is None or platform.system() != "Linux":
        return False
    library = ctypes.CDLL(None, use_errno=True)
    if library.syscall(number, old_directory, os.fsencode(old), new_directory, os.fsencode(new), flags) == 0:
        return True
    problem = ctypes.get_errno()
    if problem in _NO_FLAGS:
        return False
    raise OSError(problem, os.strerror(problem), new)
