"""The root file systems that come with the engine. What is in them is data: `rootfs/<directory>/`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from createos_images.errors import ImageError

DEFINITIONS = Path(__file__).parent / "rootfs"
DEFAULT = "devbox:1"
BUILDER = "builder:1"


@dataclass(frozen=True)
class Rootfs:
    """A built-in image: its name, one sentence for people, and where its definition is.

    One that is *extra* is built by whoever wants it.
    """

    name: str
    description: str
    definition: Path
    extra: bool = False


CATALOG = (
    Rootfs(
        DEFAULT,
        "Debian 12 with git, curl, Python 3, an SSH server and the everyday command line tools.",
        DEFINITIONS / "devbox-1",
    ),
    Rootfs("debian:12", "Debian 12, nothing but the essential packages and apt.", DEFINITIONS / "debian-12"),
    Rootfs("python:3", "Debian 12 with Debian's Python 3.11, pip and venv.", DEFINITIONS / "python-3", extra=True),
    Rootfs("node:18", "Debian 12 with Debian's Node.js 18 and npm.", DEFINITIONS / "node-18", extra=True),
    Rootfs(BUILDER, "Debian 12 with buildah, for templates built in a machine.", DEFINITIONS / "builder-1", extra=True),
    Rootfs(
        "busybox:1", "A static busybox and a few files in /etc, for tests and tiny jobs.", DEFINITIONS / "busybox-1"
    ),
)


def build_command(name: str) -> str:
    """Return the command that builds an image."""
    return f"run: sudo .venv/bin/python -m createos_images build {name}"


def rootfs(name: str) -> Rootfs:
    """Return the built-in *name*, or raise ImageError that says which there are."""
    for entry in CATALOG:
        if entry.name == name:
            return entry
    known = ", ".join(entry.name for entry in CATALOG)
    raise ImageError(f"there is no built-in root file system {name}", f"choose one of {known}")
