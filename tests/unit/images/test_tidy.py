from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from createos_images import tidy
from createos_images.ext4 import EPOCH
from createos_images.recipe import ImageConfig, Recipe


def put(tree: Path, *names: str) -> None:
    for name in names:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("x")


@pytest.mark.parametrize(
    "name",
    [
        "etc/hostname",
        "etc/resolv.conf",
        "etc/ssh/ssh_host_ed25519_key",
        "etc/ssh/ssh_host_ed25519_key.pub",
        "var/lib/dbus/machine-id",
        "var/lib/apt/lists/deb.debian.org_InRelease",
        "var/lib/apt/lists/partial/x",
        "var/cache/apt/archives/git.deb",
        "var/log/dpkg.log",
        "var/log/apt/history.log",
        "etc/passwd-",
        "tmp/left",
    ],
)
def test_identity_and_leftovers_are_removed(tmp_path: Path, name: str) -> None:
    put(tmp_path, name)

    tidy.clean(tmp_path)

    assert not (tmp_path / name).exists()


def test_the_machine_id_is_there_and_empty(tmp_path: Path) -> None:
    put(tmp_path, "etc/machine-id")

    tidy.clean(tmp_path)

    assert (tmp_path / "etc/machine-id").read_text() == ""


def test_everything_else_stays(tmp_path: Path) -> None:
    put(tmp_path, "etc/passwd", "etc/ssh/sshd_config", "usr/bin/git", "var/lib/dpkg/status")

    tidy.clean(tmp_path)

    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"passwd", "sshd_config", "git", "status"}


def test_files_of_the_recipe_are_written_with_their_modes(tmp_path: Path) -> None:
    recipe = Recipe(
        "busybox",
        "d1",
        ImageConfig(),
        directories={"tmp": 0o1777},
        files={"etc/shadow": "root:*\n"},
        modes={"etc/shadow": 0o640},
    )

    tidy.furnish(tmp_path, recipe)

    assert stat.S_IMODE((tmp_path / "tmp").stat().st_mode) == 0o1777
    assert stat.S_IMODE((tmp_path / "etc/shadow").stat().st_mode) == 0o640
    assert (tmp_path / "etc/shadow").read_text() == "root:*\n"


def test_only_what_the_build_made_gets_its_date(tmp_path: Path) -> None:
    put(tmp_path, "made", "packaged")
    os.utime(tmp_path / "packaged", (1_700_000_000, 1_700_000_000))
    os.utime(tmp_path / "made", (1_800_000_000, 1_800_000_000))

    tidy.settle_times(tmp_path, built_since_s=1_790_000_000)

    assert (tmp_path / "made").stat().st_mtime == EPOCH
    assert (tmp_path / "packaged").stat().st_mtime == 1_700_000_000
