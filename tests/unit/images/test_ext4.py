from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from createos_images import digest, ext4
from createos_images.ext4 import Content

MIB = 2**20


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc" / "passwd").write_text("root:x:0:0::/:/bin/sh\n")
    (tree / "su").write_text("x")
    (tree / "su").chmod(0o4755)
    (tree / "link").symlink_to("etc/passwd")
    return tree


def e2fsck(image: Path) -> int:
    return subprocess.run(["/sbin/e2fsck", "-fn", image], capture_output=True, check=False).returncode


def debugfs(image: Path, request: str) -> str:
    done = subprocess.run(["/sbin/debugfs", "-R", request, image], capture_output=True, text=True, check=True)
    return done.stdout


def test_the_file_system_is_sound_sparse_and_of_the_size_that_is_told(tree: Path, tmp_path: Path) -> None:
    image = tmp_path / "base.raw"

    size = ext4.make_base(tree, image)

    assert e2fsck(image) == 0
    assert image.stat().st_size == size == ext4.stated_bytes(image)
    assert image.stat().st_blocks * 512 < 2 * MIB


def test_modes_links_and_contents_are_kept(tree: Path, tmp_path: Path) -> None:
    image = tmp_path / "base.raw"

    ext4.make_base(tree, image)

    assert "04755" in debugfs(image, "stat /su")
    assert 'Fast link dest: "etc/passwd"' in debugfs(image, "stat /link")
    assert debugfs(image, "cat /etc/passwd") == "root:x:0:0::/:/bin/sh\n"


def test_the_same_tree_gives_the_same_bytes(tree: Path, tmp_path: Path) -> None:
    def build(name: str) -> str:
        for path in (tree, *tree.rglob("*")):
            os.utime(path, (ext4.EPOCH, ext4.EPOCH), follow_symlinks=False)
        ext4.make_base(tree, tmp_path / name)
        return digest.of_file(tmp_path / name)

    first = build("first.raw")
    time.sleep(1.1)  # so that the files of the tree, which are touched again, get another ctime

    assert build("second.raw") == first


def test_a_sealed_file_system_is_sound_and_as_small_as_its_content(tree: Path, tmp_path: Path) -> None:
    image = tmp_path / "sealed.img"
    (tree / "library").write_bytes(b"x" * 20 * MIB)

    ext4.make_sealed(tree, image)

    assert e2fsck(image) == 0
    assert 20 * MIB < image.stat().st_size < 24 * MIB
    assert (
        "has_journal"
        not in subprocess.run(["/sbin/dumpe2fs", "-h", image], capture_output=True, text=True, check=True).stdout
    )


def test_a_guest_can_grow_it_to_a_tebibyte(tree: Path, tmp_path: Path) -> None:
    image = tmp_path / "base.raw"
    ext4.make_base(tree, image)

    header = subprocess.run(["/sbin/dumpe2fs", "-h", image], capture_output=True, text=True, check=True).stdout

    reserved = next(line for line in header.splitlines() if line.startswith("Reserved GDT blocks:"))
    groups_a_block = 4096 // 64
    assert (int(reserved.split()[-1]) + 1) * groups_a_block * ext4.GROUP_BYTES >= 2**40


def test_many_small_files_get_an_inode_each(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for number in range(9000):
        (tree / f"{number % 90}").mkdir(parents=True, exist_ok=True)
        (tree / f"{number % 90}" / f"{number}").touch()

    ext4.make_base(tree, tmp_path / "base.raw")

    assert e2fsck(tmp_path / "base.raw") == 0


def test_hard_links_are_measured_once(tree: Path) -> None:
    (tree / "big").write_bytes(bytes(range(1, 256)) * 1000)
    before = ext4.measure(tree)
    os.link(tree / "big", tree / "again")

    assert ext4.measure(tree) == before


@pytest.mark.parametrize(("blocks", "mib"), [(0, 48), (25_600, 154), (256_000, 1124)])
def test_the_size_is_content_journal_tables_and_a_little_space(blocks: int, mib: int) -> None:
    assert ext4.size_for(Content(blocks, 1), 0.05) // MIB == pytest.approx(mib, abs=mib * 0.1 + 20)


def test_used_inodes_are_what_dumpe2fs_does_not_call_free() -> None:
    text = "Inode count:              32\n  Free inodes: 14-15\n  Free inodes: 20, 22-32\n"

    assert ext4.used_inodes(text) == [2, 11, 12, 13, 16, 17, 18, 19, 21]


@pytest.mark.parametrize("content", [b"", bytes(2048), bytes(4096), b"\xff" * 4096, os.urandom(4096)])
def test_what_is_no_file_system_states_no_size(tmp_path: Path, content: bytes) -> None:
    image = tmp_path / "base.raw"
    image.write_bytes(content)

    assert ext4.stated_bytes(image) == 0
