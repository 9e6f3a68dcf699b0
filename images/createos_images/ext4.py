"""Turn a directory tree into the raw ext4 file that sandboxes lay their overlays over."""

from __future__ import annotations

import math
import os
import re
import stat
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from createos_images.command import run
from createos_images.errors import ImageError

MKE2FS_TIMEOUT_S = 600.0
MIB = 2**20
BLOCK = 4096
GROUP_BYTES = 128 * 2**20
INODES_PER_GROUP = 8192
JOURNAL_MIB = 16
SPARE_MIB = 16
SPARE_SHARE = 0.05
GROWS_TO_BYTES = 2**40
ATTEMPTS = 3
ROOT_INODE = 2
FIRST_INODE = 11
"""Those between are the file system's own."""

EPOCH = 1767225600
"""Time stamp of everything that was made during a build, so that two builds compare: 2026-01-01."""

_SUPERBLOCK_AT, _SUPERBLOCK_BYTES, _MOST_LOG_SIZE = 1024, 1024, 6

FIXED_TIME = {"E2FSPROGS_FAKE_TIME": str(EPOCH), "SOURCE_DATE_EPOCH": str(EPOCH)}
"""What e2fsprogs takes for the present: the first name before 1.47.1, the second since."""

FILE_SYSTEM_UUID = "c05bc05b-0000-4000-8000-000000000001"
"""The same in each base. A guest finds its root by device, never by UUID."""

FIXED = f"hash_seed={FILE_SYSTEM_UUID},root_owner=0:0"
"""What mke2fs would else take from chance and from who calls it."""

FEATURES = (
    *("none", "has_journal", "ext_attr", "resize_inode", "dir_index", "filetype", "extent", "64bit", "flex_bg"),
    *("sparse_super", "large_file", "huge_file", "dir_nlink", "extra_isize", "metadata_csum"),
)
"""Said one by one, so that /etc/mke2fs.conf of the host has no say. All are known to every kernel since 3.18."""


SEALED = tuple(name for name in FEATURES if name not in ("has_journal", "resize_inode"))
"""Those of a file system that nobody writes to."""


@dataclass(frozen=True)
class Content:
    """What a tree needs: blocks for data and directories, and inodes."""

    blocks: int
    inodes: int


def make_base(rootfs_tree: Path, out: Path) -> int:
    """Write the file system of *rootfs_tree* to the sparse file or zeroed disk *out* and return its size in bytes.

    The size is the smallest disk a sandbox can have: content and a little space. A guest grows it online with
    EXT4_IOC_RESIZE_FS up to 1 TiB. Owners, set-uid bits and file capabilities are kept (so run it as root).
    """
    content = measure(rootfs_tree)
    for attempt in range(ATTEMPTS):
        size = size_for(content, SPARE_SHARE * 2**attempt)
        try:
            _make_growing(rootfs_tree, out, size, content)
        except ImageError as exc:
            if not out.is_block_device():
                out.unlink(missing_ok=True)
            if "Could not allocate" not in exc.details or attempt == ATTEMPTS - 1:
                raise
        else:
            break
    _settle_times(out)
    return size


def make_sealed(tree: Path, out: Path) -> None:
    """Write the file system of *tree* to *out*: without a journal, without room, only to be mounted read-only."""
    content = measure(tree)
    data = content.blocks * BLOCK * (1 + SPARE_SHARE) + MIB
    inodes = content.inodes + FIRST_INODE
    with out.open("wb") as file:
        file.truncate(math.ceil((data + inodes * 256) / MIB) * MIB)
    _mke2fs(tree, out, ("-O", ",".join(SEALED), "-E", f"{FIXED},nodiscard", "-N", str(inodes)))
    _settle_times(out)


def stated_bytes(image: Path) -> int:
    """Return the size that the superblock of *image* states, 0 when there is none (kernel: fs/ext4/ext4.h)."""
    with image.open("rb") as file:
        file.seek(_SUPERBLOCK_AT)
        block = file.read(_SUPERBLOCK_BYTES)
    if len(block) < _SUPERBLOCK_BYTES or block[0x38:0x3A] != b"\x53\xef":
        return 0
    low, log_size, high = (int.from_bytes(block[at : at + 4], "little") for at in (0x04, 0x18, 0x150))
    return (high << 32 | low) * (1024 << log_size) if log_size <= _MOST_LOG_SIZE else 0


def measure(tree: Path) -> Content:
    """Count what is in *tree*; hard links once, sparse files by what they hold."""
    blocks, seen = 0, set()
    for parent, directories, files in os.walk(tree):
        for name in (*directories, *files):
            found = Path(parent, name).lstat()
            if (found.st_dev, found.st_ino) not in seen:
                seen.add((found.st_dev, found.st_ino))
                blocks += _blocks(found)
    return Content(blocks + 1, len(seen) + 1)


def size_for(content: Content, spare_share: float) -> int:
    """Return the size in bytes of a file system for *content*, rounded up to whole MiB."""
    data = content.blocks * BLOCK * (1 + spare_share) + (JOURNAL_MIB + SPARE_MIB) * 2**20
    groups = math.ceil(data / GROUP_BYTES)
    tables = groups * INODES_PER_GROUP * 256
    return math.ceil((data + tables) / 2**20) * 2**20


def _blocks(found: os.stat_result) -> int:
    """Return the blocks of one file; a short symbolic link lives in its inode, an attribute takes a block at most."""
    if stat.S_ISLNK(found.st_mode) and found.st_size < 60:
        return 0
    return math.ceil(min(found.st_size, found.st_blocks * 512) / BLOCK) if stat.S_ISREG(found.st_mode) else 1


def _make_growing(tree: Path, out: Path, size: int, content: Content) -> None:
    groups = max(math.ceil(size / GROUP_BYTES), math.ceil(content.inodes * 1.1 / INODES_PER_GROUP))
    extended = (
        f"resize={GROWS_TO_BYTES // BLOCK}",
        "lazy_itable_init=1",
        "assume_storage_prezeroed=1",  # a new sparse file is zero: the guest has nothing to clear in the background
        FIXED,
    )
    _clear(out, size)
    features = ("-O", ",".join(FEATURES), "-E", ",".join(extended), "-J", f"size={JOURNAL_MIB}", "-e", "remount-ro")
    _mke2fs(tree, out, (*features, "-N", str(groups * INODES_PER_GROUP)), f"{size // 1024}k")


def _clear(out: Path, size: int) -> None:
    """Make *out* all zero; a file has *size* bytes then."""
    if out.is_block_device():
        run("blkdiscard", "--force", out, timeout_s=MKE2FS_TIMEOUT_S)
        return
    with out.open("wb") as file:
        file.truncate(size)


def _mke2fs(tree: Path, out: Path, options: Sequence[str], *size: str) -> None:
    argv: list[str | Path] = ["mke2fs", "-q", "-F", "-t", "ext4", "-b", str(BLOCK), "-I", "256", "-m", "0", *options]
    argv += ["-U", FILE_SYSTEM_UUID, "-d", tree, out, *size]
    run(*argv, timeout_s=MKE2FS_TIMEOUT_S, env={**FIXED_TIME, "MKE2FS_CONFIG": "/dev/null"})


def used_inodes(dumpe2fs: str) -> list[int]:
    """Return the inodes of files, from the text that dumpe2fs prints."""
    total = int(_only(r"^Inode count: +(\d+)", dumpe2fs))
    free = re.findall(r"^  Free inodes: (.*)$", dumpe2fs, re.MULTILINE)
    ranges = [part.partition("-") for line in free for part in line.split(", ") if part]
    unused = {number for low, _, high in ranges for number in range(int(low), int(high or low) + 1)}
    return [ROOT_INODE, *(number for number in range(FIRST_INODE, total + 1) if number not in unused)]


def _settle_times(image: Path) -> None:
    """Set every ctime and atime to EPOCH: the one cannot be set in a tree, the other changes when a tree is read."""
    inodes = used_inodes(run("dumpe2fs", image, timeout_s=MKE2FS_TIMEOUT_S))
    with tempfile.NamedTemporaryFile("w", suffix=".debugfs") as script:
        for number in inodes:
            script.write(
                f"set_inode_field <{number}> ctime @{EPOCH:#x}\nset_inode_field <{number}> atime @{EPOCH:#x}\n"
            )
        script.flush()
        run("debugfs", "-w", "-f", script.name, image, timeout_s=MKE2FS_TIMEOUT_S, env=FIXED_TIME)


def _only(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    if not found:
        raise ImageError(f"dumpe2fs printed nothing like {pattern}")
    return found[1]
