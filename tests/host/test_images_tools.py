"""The tools disk: s3fs runs with what is on it and nothing else."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from createos_images import digest
from createos_images.cache import DEFAULT_CACHE, Cache
from createos_images.tools import Tools, ensure_tools, find_tools

pytestmark = pytest.mark.root

LOADER = ("/lib/ld.so", "--inhibit-cache", "--library-path", "/lib")


@pytest.fixture(scope="module")
def tools() -> Tools:
    found = find_tools(Cache(Path(os.environ.get("CREATEOS_CACHE_DIR", DEFAULT_CACHE))))
    if found is None:
        pytest.skip("the tools disk was not built: make setup")
    return found


@pytest.fixture(scope="module")
def content(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is on the disk, as a directory."""
    place = tmp_path_factory.mktemp("tools")
    subprocess.run(["/sbin/debugfs", "-R", f"rdump / {place}", tools.path], capture_output=True, check=True)
    (place / "lib/ld.so").chmod(0o755)
    return place


def in_chroot(content: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["chroot", content, *LOADER, *argv], capture_output=True, text=True, check=False)


def test_it_is_a_sound_file_system_that_its_name_describes(tools: Tools) -> None:
    checked = subprocess.run(["/sbin/e2fsck", "-fn", tools.path], capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout
    assert digest.of_file(tools.path) == tools.digest == tools.path.stem


def test_it_is_small_and_everybody_can_read_it(tools: Tools) -> None:
    found = tools.path.stat()

    assert found.st_size < 70 * 2**20
    assert found.st_mode & 0o777 == 0o444


def test_every_library_comes_from_the_disk(content: Path) -> None:
    listed = in_chroot(content, "--list", "/bin/s3fs")

    lines = [line.strip() for line in listed.stdout.splitlines() if "=>" in line]
    assert listed.returncode == 0, listed.stderr
    assert len(lines) > 20
    assert [line for line in lines if "=> /lib/" not in line] == []


def test_s3fs_runs_without_anything_of_the_guest(content: Path) -> None:
    said = in_chroot(content, "/bin/s3fs", "--version")

    assert said.returncode == 0, said.stderr
    assert "Simple Storage Service" in said.stdout


def test_certificates_types_and_licences_are_on_it(content: Path) -> None:
    assert (content / "etc/ca-certificates.crt").read_text().count("BEGIN CERTIFICATE") > 100
    assert "application/json" in (content / "etc/mime.types").read_text()
    assert {"s3fs", "libc6", "libcurl3-gnutls"} <= {path.name for path in (content / "copyright").iterdir()}


def test_a_second_build_does_nothing(tools: Tools) -> None:
    said: list[str] = []

    assert ensure_tools(Cache(tools.path.parents[1]), said.append) == tools
    assert said == []
