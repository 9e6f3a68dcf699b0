"""Build the base images of the catalogue, and find the ones that are there."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from createos_images import busybox, catalog, digest, ext4, mmdebstrap, recipe, tidy
from createos_images.cache import Cache, building, name_base, names, partial, publish, publish_text
from createos_images.errors import ImageError
from createos_images.progress import Progress
from createos_images.recipe import ImageConfig, Recipe


@dataclass(frozen=True)
class Base:
    """An immutable ext4 file. *size_bytes* is the smallest disk that a sandbox of it can have.

    *recipe* is the digest of the definition it was built from.
    """

    name: str
    digest: str
    path: Path
    size_bytes: int
    config: ImageConfig
    recipe: str


def build_base(name: str, cache: Cache, progress: Progress, mirror: str | None = None) -> Base:
    """Return the base of the built-in *name*, building it if it is missing or its definition has changed.

    *mirror* replaces the Debian mirror of the host. Building needs root, and a network for all but busybox:1.
    """
    wanted = recipe.read(catalog.rootfs(name))
    found = _current(name, cache, wanted)
    if found:
        return found
    if os.geteuid() != 0:
        raise ImageError(f"the image {name} is not built yet and building it needs root", "run sudo make setup")
    with building(cache, name, progress):
        return _current(name, cache, wanted) or _build(name, cache, wanted, mirror, progress)


def find_base(name: str, cache: Cache) -> Base | None:
    """Return the base that *name* means at present, or None if it was never built."""
    known = names(cache).get(name)
    return _read(cache, name, known) if known else None


def list_bases(cache: Cache) -> list[Base]:
    """Return all bases that have a name, sorted by it."""
    found = (_read(cache, name, known) for name, known in sorted(names(cache).items()))
    return [base for base in found if base]


def store_tree(
    name: str, tree: Path, config: ImageConfig, cache: Cache, progress: Progress, made_from: str = ""
) -> Base:
    """Make the base *name* of any directory tree; *made_from* is the digest of a definition, if there is one."""
    with partial(cache.bases, name) as work:
        progress(f"writing the file system of {name}")
        raw = work / "base.raw"
        size = ext4.make_base(tree, raw)
        base_digest = digest.of_file(raw)
        base = Base(name, base_digest, cache.bases / f"{base_digest}.raw", size, config, made_from)
        publish_text(_described(base), base.path.with_suffix(".json"))
        publish(raw, base.path)
    name_base(cache, name, base.digest, progress)
    return base


def adopt_base(name: str, raw: Path, size_bytes: int, config: Mapping[str, Any], cache: Cache) -> Base:
    """Make a base of a finished file system in the cache directory; it is found by its digest, not by its name."""
    base_digest = digest.of_file(raw)
    base = Base(name, base_digest, cache.bases / f"{base_digest}.raw", size_bytes, _config(config), "")
    publish_text(_described(base), base.path.with_suffix(".json"))
    publish(raw, base.path)
    return base


def base_by_digest(name: str, base_digest: str, cache: Cache) -> Base | None:
    """Return the base with this digest, or None when its file is gone."""
    return _read(cache, name, base_digest)


def _current(name: str, cache: Cache, wanted: Recipe) -> Base | None:
    found = find_base(name, cache)
    return found if found and found.recipe == wanted.digest else None


def _build(name: str, cache: Cache, wanted: Recipe, mirror: str | None, progress: Progress) -> Base:
    started = time.time()
    with partial(cache.bases, name) as work:
        tree = work / "tree"
        if wanted.builder == "busybox":
            busybox.make_tree(tree, work, progress)
        else:
            progress(f"downloading and installing the packages of {name}")
            mmdebstrap.make_tree(wanted, tree, mirror)
        tidy.clean(tree)
        tidy.furnish(tree, wanted)
        tidy.settle_times(tree, started)
        return store_tree(name, tree, wanted.config, cache, progress, wanted.digest)


def _read(cache: Cache, name: str, known: str) -> Base | None:
    """Return a base by its digest; one without its file or its description counts as not built."""
    path = cache.bases / f"{known}.raw"
    try:
        said = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        return _parse(name, known, path, said) if path.is_file() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _parse(name: str, known: str, path: Path, said: Mapping[str, Any]) -> Base:
    return Base(name, known, path, said["size_bytes"], _config(said["config"]), said["recipe"])


def _config(said: Mapping[str, Any]) -> ImageConfig:
    """Read a configuration back; JSON has no tuples."""
    known: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in said.items()}
    return ImageConfig(**known)


def _described(base: Base) -> str:
    said = {
        "name": base.name,
        "size_bytes": base.size_bytes,
        "config": asdict(base.config),
        "recipe": base.recipe,
        "built_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return json.dumps(said, indent=2) + "\n"
