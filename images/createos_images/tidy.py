"""Take everything out of a new tree that belongs to one machine or one build, and put the recipe's own files in."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from createos_images.ext4 import EPOCH
from createos_images.recipe import Recipe

IDENTITY = (
    *(
        "etc/hostname",
        "etc/resolv.conf",
        "etc/ssh/ssh_host_*",
        "var/lib/dbus/machine-id",
        "var/lib/systemd/random-seed",
    ),
)
"""Made by the agent when a sandbox gets its identity; two sandboxes must never share them."""

LEFTOVERS = (
    *(
        "etc/*-",
        "etc/.pwd.lock",
        "etc/apt/apt.conf.d/99mmdebstrap",
        "root/.bash_history",
        "run/*",
        "tmp/*",
        "var/tmp/*",
    ),
    *("var/cache/apt/*", "var/cache/debconf/*-old", "var/cache/ldconfig/aux-cache", "var/cache/man/*"),
    *("var/lib/apt/lists/*", "var/lib/dpkg/*-old", "var/log/*.log", "var/log/apt/*"),
)
"""Caches, logs and lists of the build."""


def clean(tree: Path) -> None:
    """Remove what would tell one build from another, or one sandbox's identity from its image."""
    for pattern in (*IDENTITY, *LEFTOVERS):
        for path in tree.glob(pattern):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    if (tree / "usr/lib/systemd").exists() or (tree / "etc/machine-id").exists():
        # present and empty: programs wait for the agent's value instead of making one
        (tree / "etc/machine-id").write_text("")


def furnish(tree: Path, recipe: Recipe) -> None:
    """Put the directories and files of *recipe* into *tree*, owned by root."""
    for name, mode in recipe.directories.items():
        (tree / name).mkdir(parents=True, exist_ok=True)
        (tree / name).chmod(mode)
    for name, text in recipe.files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text, encoding="utf-8")
        (tree / name).chmod(0o644)
    for name, mode in recipe.modes.items():
        (tree / name).chmod(mode)


def settle_times(tree: Path, built_since_s: float) -> None:
    """Give everything that this build made one fixed date.

    Files out of packages keep their date: Python compares it with the one in its compiled files.
    """
    for path in (tree, *tree.rglob("*")):
        if path.lstat().st_mtime >= built_since_s:
            os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)
