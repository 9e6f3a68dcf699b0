"""What is in a local directory now."""

from __future__ import annotations

import errno
import os
import stat

from createos_cli.sync.confined import Confined, Judge, described
from createos_cli.sync.entries import DEEPEST, MOST_ENTRIES, Entry, Kind, Tree, path_is_clean
from createos_cli.sync.failures import Stop
from createos_cli.sync.skips import Skips

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


def scan(files: Confined, skips: Skips, judge: Judge) -> Tree:
    """Return everything below the root that is not left out, as *judge* sees it.

    Raises Stop when the root is gone or too large.
    """
    if not files.is_there():
        raise Stop(
            f"the directory {files.root} is gone",
            hint="nothing was removed in the sandbox; put it back and start again",
        )
    tree: Tree = {}
    _directory(files, skips, judge, files.fd, "", tree)
    return tree


def _directory(files: Confined, skips: Skips, judge: Judge, descriptor: int, path: str, tree: Tree) -> None:
    below: list[tuple[str, str]] = []
    with os.scandir(descriptor) as found:
        for each in found:
            full = f"{path}/{each.name}" if path else each.name
            entry = _one(files, skips, judge, descriptor, each, full)
            if entry is not None:
                tree[full] = entry
                if entry.kind is Kind.DIRECTORY:
                    below.append((each.name, full))
    if len(tree) > MOST_ENTRIES:
        raise Stop(f"{files.root} has more than {MOST_ENTRIES} files and directories", hint="leave some out: --exclude")
    for name, full in below:
        _below(files, skips, judge, descriptor, name, full, tree)


def _one(
    files: Confined, skips: Skips, judge: Judge, directory: int, each: os.DirEntry[str], path: str
) -> Entry | None:
    try:
        found = each.stat(follow_symlinks=False)
        if not path_is_clean(path) or skips.match(path, directory=stat.S_ISDIR(found.st_mode)):
            return None
        target = os.readlink(each.name, dir_fd=directory) if stat.S_ISLNK(found.st_mode) else ""
    except OSError:
        # Gone or replaced since it was listed; the next scan tells.
        return None
    if stat.S_ISDIR(found.st_mode) and found.st_dev != files.device:
        return Entry(Kind.OTHER, why="another file system is mounted there")
    if stat.S_ISDIR(found.st_mode) and path.count("/") + 1 == DEEPEST:
        return Entry(Kind.OTHER, why="it lies too deep")
    return judge(path, described(found, target))


def _below(files: Confined, skips: Skips, judge: Judge, directory: int, name: str, path: str, tree: Tree) -> None:
    try:
        descriptor = os.open(name, _DIRECTORY, dir_fd=directory)
    except OSError as exc:
        del tree[path]
        if exc.errno not in _GONE:
            tree[path] = Entry(Kind.OTHER, why="a directory that cannot be read")
        return
    try:
        _directory(files, skips, judge, descriptor, path, tree)
    finally:
        os.close(descriptor)
