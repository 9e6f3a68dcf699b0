"""Where disks may be mounted, and which folders."""

from __future__ import annotations

import pytest
from createos_engine.mount_paths import checked_mount_path, checked_sub_path


@pytest.mark.parametrize(
    ("path", "kept"),
    [("/d", "/d"), ("/mnt/data/", "/mnt/data"), ("/a b/ü", "/a b/ü"), ("/procs", "/procs"), ("/srv/dev", "/srv/dev")],
)
def test_a_directory_can_be_mounted_on(path: str, kept: str) -> None:
    assert checked_mount_path(path) == kept


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("", "not absolute"),
        ("mnt", "not absolute"),
        ("/", "cannot be mounted at /"),
        ("//", "cannot be mounted at /"),
        ("/proc", "at or below /proc"),
        ("/sys/fs", "at or below /sys"),
        ("/dev/", "at or below /dev"),
        ("/run/x", "at or below /run"),
        ("//proc", "empty, . or .."),
        ("/mnt/../proc", "empty, . or .."),
        ("/mnt/./a", "empty, . or .."),
        ("/mnt//a", "empty, . or .."),
        ("/mnt/a\n", "control character"),
        ("/mnt/\x7f", "control character"),
        ("/mnt\\a", "backslash"),
        ("/" + "ü" * 512, "longer than 1024 bytes"),
    ],
)
def test_the_rule_that_a_mount_path_breaks_is_said(path: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        checked_mount_path(path)


@pytest.mark.parametrize(("folder", "kept"), [("", ""), ("a", "a"), ("a/b c/", "a/b c"), ("..a/b..", "..a/b..")])
def test_a_folder_of_a_bucket_has_no_slashes_at_its_ends(folder: str, kept: str) -> None:
    assert checked_sub_path(folder) == kept


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("/a", "begins with /"),
        ("/", "begins with /"),
        ("..", "empty, . or .."),
        ("a/../b", "empty, . or .."),
        ("a//b", "empty, . or .."),
        ("a//", "empty, . or .."),
        ("./a", "empty, . or .."),
        ("a\0b", "control character"),
        ("a\\b", "backslash"),
        ("a" * 1025, "longer than 1024 bytes"),
    ],
)
def test_the_rule_that_a_sub_path_breaks_is_said(folder: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        checked_sub_path(folder)
