"""Who holds which disk space: every file of an engine and of the image cache, with those that need it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from createos_images import cache as images

from createos_engine.drivers import qcow2
from createos_engine.paths import Paths
from createos_engine.words import Sandbox, State

_BLOCK_BYTES = 512
_SANDBOX = "sb-"


@dataclass(frozen=True)
class Holding:
    """A file, or a directory with all below it. `used_bytes` is what it takes on disk, `size_bytes` what it pretends.

    `held_by` are the names of those that need it. `inodes` tell files apart that have several names.
    """

    kind: str
    name: str
    path: Path
    size_bytes: int
    inodes: Mapping[tuple[int, int], int]
    held_by: tuple[str, ...] = ()

    @property
    def used_bytes(self) -> int:
        """What it takes on disk."""
        return sum(self.inodes.values())


def total_bytes(holdings: Iterable[Holding]) -> int:
    """Return what they take together: a file with several names is there once."""
    found: dict[tuple[int, int], int] = {}
    for holding in holdings:
        found.update(holding.inodes)
    return sum(found.values())


def survey(
    paths: Paths,
    cache: images.Cache,
    rows: Iterable[Sandbox],
    digests: Iterable[str],
    standbys: Iterable[str] = (),
) -> list[Holding]:
    """Return everything there is, for people. Changes nothing.

    *digests* are of the images of templates, *standbys* the ids of machines that stand by.
    """
    live = [row for row in rows if row.state not in (State.FAILED, State.DESTROYED)]
    names = {row.id: row.name for row in live} | dict.fromkeys(standbys, "the next create")
    return [*_of_engine(paths, names), *_of_cache(cache, paths, live, names, frozenset(digests))]


def _of_engine(paths: Paths, names: Mapping[str, str]) -> Iterator[Holding]:
    chains = _chains(paths, names)
    for directory in _entries(paths.sandboxes):
        yield _holding("sandbox disk", directory.name, directory, _owner(directory.name, names))
    for directory in _entries(paths.snapshots):
        yield _holding("snapshot", directory.name, directory, _owner(directory.name.partition(".")[0], names))
    for layer in _entries(paths.layers):
        yield _holding("frozen disk", layer.stem, layer, tuple(sorted({who for who, at in chains if layer in at})))
    database = [path for path in _entries(paths.state_dir) if path.name.startswith("engine.db")]
    yield from (_holding("database", path.name, path, ("this engine",)) for path in database)
    for directory in _entries(paths.build_logs):
        yield _holding("build log", directory.name, directory, ("this engine",))


def _of_cache(
    cache: images.Cache, paths: Paths, live: Iterable[Sandbox], names: Mapping[str, str], digests: frozenset[str]
) -> Iterator[Holding]:
    named = {digest: name for name, digest in images.names(cache).items()}
    needed = _needed(paths, live, names)
    for digest in digests:
        needed.setdefault(digest, set()).add("a template")
    for digest, name in named.items():
        needed.setdefault(digest, set()).add(name)
    for base in _entries(cache.bases):
        holders = tuple(sorted(needed.get(base.stem, ())))
        yield _holding("base image", named.get(base.stem, base.stem[:12]), base, holders)
    yield from (_holding("kernel", each.name, each, ("the next boot",)) for each in _real(cache.kernels))
    disks = [each for each in _real(cache.tools) if each.suffix == ".img"]
    yield from (_holding("tools disk", each.stem[:24], each, ("the next S3 disk",)) for each in disks)
    yield from (_holding("guest agent", each.name[:24], each, ()) for each in _real(cache.agents))
    yield from (_holding("initramfs", each.name[:24], each, ()) for each in _real(cache.initramfs))
    yield from (
        _holding("build storage", each.name, each, ("the next build",)) for each in _real(cache.root / "buildah")
    )


def _needed(paths: Paths, live: Iterable[Sandbox], names: Mapping[str, str]) -> dict[str, set[str]]:
    """Return who needs which image, by its digest: by a row, or because a disk stands on it."""
    needed: dict[str, set[str]] = {}
    for row in live:
        needed.setdefault(row.base_digest, set()).add(row.name)
    tops = {top: names.get(top.parent.name, top.parent.name) for top in paths.sandboxes.glob("*/overlay.qcow2")}
    tops |= {layer: f"frozen disk {layer.stem}" for layer in _entries(paths.layers)}
    for top, who in tops.items():
        for below in qcow2.readable_chain(top):
            needed.setdefault(below.stem, set()).add(who)
    return needed


def _chains(paths: Paths, names: Mapping[str, str]) -> list[tuple[str, tuple[Path, ...]]]:
    """Return whose disk, or whose snapshot, stands on which files."""
    found = []
    for top in paths.sandboxes.glob("*/overlay.qcow2"):
        found += [(who, qcow2.readable_chain(top)) for who in _owner(top.parent.name, names)]
    for manifest in paths.snapshots.glob("*/manifest.json"):
        if layer := _layer(manifest):
            path = paths.layer(layer)
            found.append((f"snapshot {manifest.parent.name}", (path, *qcow2.readable_chain(path))))
    return found


def _layer(manifest: Path) -> str:
    try:
        return str(json.loads(manifest.read_bytes().rstrip(b"\0")).get("layer", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def _owner(name: str, names: Mapping[str, str]) -> tuple[str, ...]:
    if name in names:
        return (names[name],)
    return () if name.startswith(_SANDBOX) else (name,)


def _holding(kind: str, name: str, path: Path, held_by: tuple[str, ...]) -> Holding:
    files = [path] if not path.is_dir() else [below for below in path.rglob("*") if below.is_file()]
    facts = [file.lstat() for file in files if file.exists()]
    inodes = {(fact.st_dev, fact.st_ino): fact.st_blocks * _BLOCK_BYTES for fact in facts}
    return Holding(kind, name, path, sum(fact.st_size for fact in facts), inodes, held_by)


def _real(directory: Path) -> list[Path]:
    return [entry for entry in _entries(directory) if not entry.is_symlink()]


def _entries(directory: Path) -> list[Path]:
    return sorted(directory.iterdir()) if directory.is_dir() else []
