"""Images that no engine needs any more leave the cache, which engines share that do not run at the same time.

Every engine writes down in the cache where its state is. An image goes when it has no name, no engine's sandbox, frozen
disk or template stands on it, and nobody has touched it for days. Where one engine cannot be asked, all images stay.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from createos_images.cache import Cache, building, names, publish_text
from createos_images.digest import of_text
from createos_images.errors import ImageError
from createos_images.progress import silent

from createos_engine.drivers.qcow2 import chain
from createos_engine.errors import HostFailed
from createos_engine.lifecycle import TERMINAL
from createos_engine.paths import Paths
from createos_engine.store.database import Database
from createos_engine.store.sandboxes import SandboxStore
from createos_engine.store.templates import TemplateStore
from createos_engine.words import State

_LOCK = "unused images"
_ENGINES = "engines"


def register(cache: Cache, state_dir: Path) -> None:
    """Write down that an engine uses the cache; raise HostFailed when that cannot be written."""
    try:
        publish_text(f"{state_dir}\n", cache.root / _ENGINES / of_text(str(state_dir))[:16])
    except (OSError, ImageError) as exc:
        raise HostFailed(f"{cache.root} cannot be written: {exc}", hint="run createosd as root") from exc


def keep(cache: Cache, digest: str) -> bool:
    """Say that an image without a holder is used again; False when it is gone."""
    path = cache.bases / f"{digest}.raw"
    with building(cache, _LOCK, silent):
        if path.exists():
            os.utime(path)
        return path.exists()


def collect(cache: Cache, run_dir: Path, *, older_than_s: float) -> list[str]:
    """Remove the images that nobody needs and return their digests.

    Raises HostFailed when an engine cannot be asked or a file cannot be removed.
    """
    try:
        with building(cache, _LOCK, silent):
            return _collect(cache, run_dir, oldest=time.time() - older_than_s)
    except (OSError, UnicodeError) as exc:
        raise HostFailed(
            f"the image cache {cache.root} cannot be cleared: {exc}", hint="run createosd as root"
        ) from exc


def _collect(cache: Cache, run_dir: Path, *, oldest: float) -> list[str]:
    removed = []
    stale = [path for path in cache.bases.glob("*.raw") if path.stat().st_mtime < oldest]
    engines = [Paths(state_dir, run_dir) for state_dir in _engines(cache)]
    needed = _needed(cache, engines) if stale else frozenset()
    for path in stale:
        if path.stem not in needed:
            path.unlink()
            path.with_suffix(".json").unlink(missing_ok=True)
            removed.append(path.stem)
    return removed


def _needed(cache: Cache, engines: Iterable[Paths]) -> frozenset[str]:
    return frozenset(names(cache).values()).union(*map(_of_engine, engines))


def _engines(cache: Cache) -> Iterator[Path]:
    """Return where the engines of the cache have their state; an engine whose directory is gone is forgotten."""
    for entry in (cache.root / _ENGINES).glob("[0-9a-f]*"):
        state_dir = Path(entry.read_text().strip())
        if state_dir.is_absolute() and state_dir.exists():
            yield state_dir
        else:
            entry.unlink()


def _of_engine(paths: Paths) -> frozenset[str]:
    try:
        database = Database(paths.database, read_only=True)
        try:
            rows = SandboxStore(database).in_states(frozenset(State) - TERMINAL)
            needed = TemplateStore(database).digests() | {row.base_digest for row in rows}
        finally:
            database.close()
        return needed | {_base_below(layer) for layer in paths.layers.glob("*.qcow2")}
    except (HostFailed, OSError, sqlite3.Error, KeyError, IndexError, ValueError) as exc:
        reason = f"the engine at {paths.state_dir} cannot be asked which images it needs: {exc}"
        raise HostFailed(reason, hint="start it once with this version, or remove its directory") from exc


def _base_below(layer: Path) -> str:
    below = chain(layer)
    if not below:
        raise HostFailed(f"the frozen disk {layer} stands on no image")
    return below[-1].stem
