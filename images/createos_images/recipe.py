"""Read the definition of a built-in root file system: `rootfs/<directory>/image.toml`. Unknown keys are errors."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from createos_images.catalog import Rootfs
from createos_images.errors import ImageError

BUILDER_FORMAT = 1
"""Raised when the code that builds changes what comes out, so that cached bases are built anew."""


@dataclass(frozen=True)
class ImageConfig:
    """How programs run in an image when the request says nothing else; an empty user is root."""

    env: Mapping[str, str] = field(default_factory=dict)
    working_dir: str = "/"
    user: str = ""
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """What goes into a tree. Paths of *directories*, *files* and *modes* are relative to its root.

    *directories* and *modes* map to permissions. *digest* changes with every byte of the definition.
    """

    builder: Literal["mmdebstrap", "busybox"]
    digest: str
    config: ImageConfig
    suite: str = ""
    packages: tuple[str, ...] = ()
    directories: Mapping[str, int] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    modes: Mapping[str, int] = field(default_factory=dict)


def read(entry: Rootfs) -> Recipe:
    """Read and check the definition of *entry*."""
    path = entry.definition / "image.toml"
    try:
        text = path.read_text(encoding="utf-8")
        return parse(tomllib.loads(text), _digest(text))
    except (OSError, tomllib.TOMLDecodeError) as exc:
        raise ImageError(f"the definition {path} cannot be read: {exc}", "install createos-local again") from exc
    except ImageError as exc:
        raise ImageError(f"the definition {path} is wrong: {exc.reason}", exc.hint) from exc


def parse(said: dict[str, Any], digest: str) -> Recipe:
    """Turn the table of a definition into a recipe."""
    rest = dict(said)
    builder = rest.pop("builder", "")
    if builder not in ("mmdebstrap", "busybox"):
        raise ImageError(f"builder is {builder!r}, it must be mmdebstrap or busybox")
    recipe = Recipe(
        builder,
        digest,
        ImageConfig(rest.pop("env", {}), rest.pop("working_dir", "/"), rest.pop("user", "")),
        rest.pop("suite", ""),
        tuple(rest.pop("packages", ())),
        _permissions(rest.pop("directories", {})),
        {_inside(name): text.removeprefix("\n") for name, text in rest.pop("files", {}).items()},
        _permissions(rest.pop("modes", {})),
    )
    if rest:
        raise ImageError(f"unknown key {', '.join(sorted(rest))}")
    return recipe


def _digest(text: str) -> str:
    return hashlib.sha256(f"{BUILDER_FORMAT}\n{text}".encode()).hexdigest()


def _permissions(table: dict[str, str]) -> dict[str, int]:
    return {_inside(name): int(octal, 8) for name, octal in table.items()}


def _inside(name: str) -> str:
    if name.startswith("/") or ".." in Path(name).parts:
        raise ImageError(f"path {name} must be relative to the root of the image")
    return name
