"""Make the tree of a root file system that is one static program under many names."""

from __future__ import annotations

import shutil
from pathlib import Path

from createos_images import debian
from createos_images.command import run
from createos_images.progress import Progress

PACKAGE = "busybox-static"
LIST_TIMEOUT_S = 10.0
INTERPRETER = b"/ld-linux"
"""Stands in each program that needs shared libraries on x86."""


def make_tree(tree: Path, work: Path, progress: Progress) -> None:
    """Put busybox into *tree*, with a link for each of its applets; *work* is a place for downloads."""
    busybox = _of_host() or _of_package(work, progress)
    place = tree / "bin/busybox"
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(busybox, place)
    place.chmod(0o755)
    for applet in run(place, "--list-full", timeout_s=LIST_TIMEOUT_S).split():
        link = tree / applet
        if "/" in applet and applet != "bin/busybox":
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to("/bin/busybox")


def _of_host() -> Path | None:
    """Return the host's busybox if it is the static one; then no network is needed."""
    found = shutil.which("busybox", path="/bin:/usr/bin")
    return Path(found) if found and INTERPRETER not in Path(found).read_bytes() else None


def _of_package(work: Path, progress: Progress) -> Path:
    progress(f"downloading {PACKAGE}")
    return debian.fetch(PACKAGE, work / "busybox") / "bin/busybox"
