"""Make the tree of a Debian root file system from packages, without a container engine."""

from __future__ import annotations

from pathlib import Path

from createos_images import debian
from createos_images.command import confined, run
from createos_images.errors import ImageError
from createos_images.ext4 import EPOCH
from createos_images.recipe import Recipe

TIMEOUT_S = 1800.0

LEFT_OUT = (
    *("path-exclude=/usr/share/doc/*", "path-include=/usr/share/doc/*/copyright"),
    *("path-exclude=/usr/share/man/*", "path-exclude=/usr/share/info/*", "path-exclude=/usr/share/locale/*"),
)
"""Documentation and translations, for good: dpkg in the sandbox leaves them out too. Licences stay."""


def make_tree(recipe: Recipe, tree: Path, mirror: str | None) -> None:
    """Install *recipe*'s packages into the new directory *tree*.

    Runs in mount and process namespaces of its own, so that nothing started or mounted by a package outlives it.
    mmdebstrap itself keeps packages from starting services.
    """
    argv: list[str | Path] = ["mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory", "--quiet"]
    argv += [f"--include={','.join(recipe.packages)}"] if recipe.packages else []
    argv += [f"--dpkgopt={option}" for option in LEFT_OUT]
    argv += [f"--aptopt={line}" for line in debian.transport_options()]
    # nothing of a tree that is thrown away after a crash has to reach the disk early
    argv += ["--dpkgopt=force-unsafe-io"]
    argv += [recipe.suite, tree, *debian.sources(recipe.suite, mirror)]
    try:
        run(
            *confined(*argv),
            timeout_s=TIMEOUT_S,
            env={"SOURCE_DATE_EPOCH": str(EPOCH), "DEBIAN_FRONTEND": "noninteractive"},
        )
    except ImageError as exc:
        raise debian.explained(exc, f"Debian {recipe.suite}") from exc
