from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from createos_images.builder import Base, build_base, find_base
from createos_images.cache import Cache
from createos_images.progress import silent

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(tmp_path_factory.mktemp("images") / "cache")


@pytest.fixture(scope="module")
def base(cache: Cache) -> Base:
    return build_base("busybox:1", cache, silent)


def debugfs(image: Path, request: str) -> str:
    done = subprocess.run(["/sbin/debugfs", "-R", request, image], capture_output=True, text=True, check=True)
    return done.stdout


def test_busybox_is_a_sound_file_system_without_a_network(base: Base) -> None:
    checked = subprocess.run(["/sbin/e2fsck", "-fn", base.path], capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout


def test_everything_in_it_belongs_to_root(base: Base) -> None:
    lines = [line.split() for line in debugfs(base.path, "ls -l /etc").splitlines() if line.strip()]

    assert {(fields[3], fields[4]) for fields in lines} == {("0", "0")}


def test_the_shell_is_the_static_program(base: Base) -> None:
    assert '"/bin/busybox"' in debugfs(base.path, "stat /bin/sh")


def test_it_has_no_identity(base: Base) -> None:
    assert "File not found" in _stderr(base.path, "stat /etc/hostname")
    assert "File not found" in _stderr(base.path, "stat /etc/resolv.conf")


def _stderr(image: Path, request: str) -> str:
    return subprocess.run(["/sbin/debugfs", "-R", request, image], capture_output=True, text=True, check=True).stderr


def test_a_second_build_does_nothing(base: Base, cache: Cache) -> None:
    said: list[str] = []

    assert build_base("busybox:1", cache, said.append) == base
    assert said == []


def test_a_build_elsewhere_has_the_same_digest(base: Base, tmp_path: Path) -> None:
    time.sleep(1.1)  # time stamps of ext4 are whole seconds

    other = build_base("busybox:1", Cache(tmp_path), silent)

    assert other.digest == base.digest


def test_another_user_can_read_it(base: Base, cache: Cache) -> None:
    for directory in (cache.root, cache.bases):
        assert directory.stat().st_mode & 0o005 == 0o005
    assert base.path.stat().st_mode & 0o777 == 0o444


def test_debian_without_a_network_says_so_and_leaves_nothing(cache: Cache) -> None:
    argv = [sys.executable, "-m", "createos_images", "--cache", str(cache.root), "build", "debian:12"]

    done = subprocess.run(
        ["unshare", "--net", "--mount", *argv], capture_output=True, text=True, check=False, env={**os.environ}
    )

    assert done.returncode == 1
    assert done.stderr == (
        "error: Debian bookworm cannot be downloaded: no mirror answers; "
        "run make setup once while the network works; afterwards none is needed\n"
    )
    assert find_base("debian:12", cache) is None
    assert [path.name for path in cache.bases.iterdir() if path.name.startswith(".")] == []
