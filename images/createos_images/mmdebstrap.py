"""Make the tree of a Debian root file system from packages, without a container engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from createos_images import debian
from createos_images.command import run_confined
from createos_images.errors import ImageError
from createos_images.ext4 import EPOCH
from createos_images.recipe import Recipe

TIMEOUT_S = 1800.0

DPKG_OPTIONS = (
    "force-unsafe-io",
    *("path-exclude=/usr/share/doc/*", "path-include=/usr/share/doc/*/copyright"),
    *("path-exclude=/usr/share/man/*", "path-exclude=/usr/share/info/*", "path-exclude=/usr/share/locale/*"),
)
"""They stay in the image: dpkg in a sandbox does not wait for the disk either,
and leaves out documentation and translations, but not licences."""


def make_tree(recipe: Recipe, tree: Path, mirror: str | None) -> None:
    """Install *recipe*'s packages into the new directory *tree*.

    Runs in mount and process namespaces of its own, so that nothing started or mounted by a package outlives it.
    mmdebstrap itself keeps packages from starting services.
    """
    options = [f"--dpkgopt={option}" for option in DPKG_OPTIONS]
    _mmdebstrap("minbase", recipe.packages, options, recipe.suite, tree, mirror)


def unpack(suite: str, packages: Sequence[str], tree: Path, mirror: str | None) -> None:
    """Unpack *packages* and all that they depend on into the new directory *tree*; none of their scripts runs."""
    _mmdebstrap("extract", packages, [], suite, tree, mirror)


def _mmdebstrap(
    variant: str, packages: Sequence[str], options: Sequence[str], suite: str, tree: Path, mirror: str | None
) -> None:
    argv: list[str | Path] = ["mmdebstrap", "--mode=root", f"--variant={variant}", "--format=directory", "--verbose"]
    argv += [f"--include={','.join(packages)}"] if packages else []
    argv += [*options, *(f"--aptopt={line}" for line in debian.transport_options())]
    argv += [suite, tree, *debian.sources(suite, mirror)]
    try:
        run_confined(
            *argv,
            timeout_s=TIMEOUT_S,
            env={"SOURCE_DATE_EPOCH": str(EPOCH), "DEBIAN_FRONTEND": "noninteractive"},
        )
    except ImageError as exc:
        raise debian.explained(exc, f"Debian {suite}") from exc
