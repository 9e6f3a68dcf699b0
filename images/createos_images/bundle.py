"""Everything a host needs to run sandboxes, in one file for a host without a network.

A bundle is a tar archive. `manifest.json` comes first and names every file with its size, its SHA-256 and the parts
that hold data; each further member is the data of one file. Nothing is unpacked by what the archive says: only files of
the manifest are read, only under names that the cache knows, and each is verified before it gets its name.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO

from createos_images import digest, tools
from createos_images.agent import ensure_agent
from createos_images.builder import Base, list_bases
from createos_images.bundle_manifest import DAMAGED, FORMAT, BundledTemplate, Entry, Manifest, digest_in_name, parse
from createos_images.cache import Cache, building, directory, name_base, partial, publish
from createos_images.errors import ImageError
from createos_images.kernel import find_kernel, make_current
from createos_images.progress import Progress

_MANIFEST = "manifest.json"
_LARGEST_MANIFEST = 64 * 2**20
_PIECE = 2**20


def export_bundle(
    cache: Cache, target: Path, templates: Sequence[BundledTemplate], progress: Progress, *, only: Iterable[str] = ()
) -> Manifest:
    """Write the kernel, the agent, the tools disk, the built-in images (of *only*, when given) and *templates*."""
    manifest = _collect(cache, templates, frozenset(only), progress)
    temporary = target.with_name(f"{target.name}.partial")
    try:
        with temporary.open("wb") as file:
            with tarfile.open(fileobj=file, mode="w|") as tar:
                _add(tar, _MANIFEST, json.dumps({"format": FORMAT, **asdict(manifest)}).encode())
                for entry in manifest.files:
                    _add_file(tar, cache.root / entry.path, entry)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(target)
    except OSError as exc:
        raise ImageError(f"{target} cannot be written: {exc.strerror}", "free some space or name another file") from exc
    finally:
        temporary.unlink(missing_ok=True)
    return manifest


def import_bundle(cache: Cache, source: Path, progress: Progress) -> Manifest:
    """Bring everything of a bundle into the cache and return what it was; files that are there already stay."""
    try:
        with tarfile.open(source, "r|") as tar:
            manifest = _read_manifest(tar)
            with building(cache, "bundle", progress), partial(cache.bases, "bundle") as work:
                staged = [_stage(tar, entry, cache, work) for entry in manifest.files]
                _publish(cache, [one for one in staged if one], work)
    except (OSError, tarfile.TarError, EOFError) as exc:
        raise ImageError(f"{source} cannot be read as a bundle: {exc}", DAMAGED) from exc
    make_current(cache, manifest.kernel)
    if manifest.tools:
        tools.make_current(cache, manifest.tools)
    for name, known in manifest.names.items():
        name_base(cache, name, known, progress)
    return manifest


def _collect(cache: Cache, templates: Sequence[BundledTemplate], only: frozenset[str], progress: Progress) -> Manifest:
    kernel = find_kernel(cache)
    if kernel is None:
        raise ImageError("there is no guest kernel to put into a bundle", "run make setup")
    bases = [base for base in list_bases(cache) if not only or base.name in only]
    if missing := only - {base.name for base in bases}:
        raise ImageError(f"{', '.join(sorted(missing))} is not built on this host", "see createos sandbox rootfs")
    files = [*_below(kernel.vmlinux.parent), *_agent_files(cache, progress)]
    digests = [*(base.digest for base in bases), *(template.digest for template in templates)]
    for known in dict.fromkeys(digests):
        files += [cache.bases / f"{known}.raw", cache.bases / f"{known}.json"]
    disk = tools.find_tools(cache)
    files += [disk.path, disk.path.with_suffix(".json")] if disk else []
    entries = tuple(_entry(cache, path) for path in files)
    return Manifest(kernel.version, _named(bases), tuple(templates), entries, disk.digest if disk else "")


def _agent_files(cache: Cache, progress: Progress) -> list[Path]:
    """Return the agent's files, unless it came with the package: then the other host's package has it, too."""
    place = ensure_agent(cache, progress).path.parent
    return _below(place) if cache.agents in place.parents else []


def _named(bases: Iterable[Base]) -> dict[str, str]:
    return {base.name: base.digest for base in bases}


def _below(place: Path) -> list[Path]:
    return sorted(path for path in place.rglob("*") if path.is_file() and not path.is_symlink())


def _entry(cache: Cache, path: Path) -> Entry:
    found = path.stat()
    sha = digest_in_name(path.relative_to(cache.root).as_posix()) or digest.of_file(path)
    extents = tuple(_extents(path, found.st_size))
    return Entry(path.relative_to(cache.root).as_posix(), found.st_size, sha, extents)


def _extents(path: Path, size: int) -> Iterator[tuple[int, int]]:
    """Yield where a sparse file holds data."""
    with path.open("rb") as file:
        at = 0
        while at < size:
            try:
                begin = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:
                return
            at = os.lseek(file.fileno(), begin, os.SEEK_HOLE)
            yield begin, at - begin


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def _add_file(tar: tarfile.TarFile, path: Path, entry: Entry) -> None:
    member = tarfile.TarInfo(entry.path)
    member.size = sum(length for _, length in entry.extents)
    with path.open("rb") as file:
        tar.addfile(member, _Parts(file, entry.extents))


class _Parts(io.RawIOBase):
    """The data of a sparse file, one part behind the other."""

    def __init__(self, file: IO[bytes], extents: Sequence[tuple[int, int]]) -> None:
        self._file = file
        self._rest = list(extents)

    def read(self, size: int = -1) -> bytes:
        """Return up to *size* bytes."""
        found = bytearray()
        while self._rest and len(found) < size:
            begin, length = self._rest[0]
            data = os.pread(self._file.fileno(), min(length, size - len(found)), begin)
            if not data:
                raise OSError(f"{self._file.name} was cut short")
            found += data
            self._rest[0] = (begin + len(data), length - len(data))
            if length == len(data):
                del self._rest[0]
        return bytes(found)


def _read_manifest(tar: tarfile.TarFile) -> Manifest:
    member = tar.next()
    if member is None or member.name != _MANIFEST or member.size > _LARGEST_MANIFEST:
        raise ImageError("this is no bundle of createos-local: it does not begin with a manifest", DAMAGED)
    try:
        said = json.loads(_data(tar, member).read())
        if said["format"] != FORMAT:
            raise ImageError(f"the bundle has format {said['format']}, this version reads {FORMAT}", "update createos")
        return parse(said)
    except (ValueError, KeyError, TypeError) as exc:
        raise ImageError("the manifest of the bundle cannot be read", DAMAGED) from exc


def _data(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    data = tar.extractfile(member) if member.isreg() else None
    if data is None:
        raise ImageError(f"the bundle holds {member.name[:100]!r}, which is no file", DAMAGED)
    return data


def _stage(tar: tarfile.TarFile, entry: Entry, cache: Cache, work: Path) -> Entry | None:
    """Write a file to the working directory and verify it; None when the cache has it already."""
    member = tar.next()
    if member is None or member.name != entry.path or member.size != sum(length for _, length in entry.extents):
        raise ImageError(f"the bundle ends or goes wrong before {entry.path}", DAMAGED)
    data = _data(tar, member)
    if (cache.root / entry.path).exists():
        return None
    place = work / entry.path
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("wb") as file:
        file.truncate(entry.size)
        for begin, length in entry.extents:
            _copy(data, file, begin, length)
    if digest.of_file(place) != entry.digest:
        raise ImageError(f"{entry.path} in the bundle is damaged", DAMAGED)
    return entry


def _copy(data: IO[bytes], file: IO[bytes], begin: int, length: int) -> None:
    file.seek(begin)
    while length:
        piece = data.read(min(_PIECE, length))
        if not piece:
            raise EOFError("it ends too early")
        file.write(piece)
        length -= len(piece)


def _publish(cache: Cache, staged: Sequence[Entry], work: Path) -> None:
    """Give what was verified its names: descriptions after what they describe, whole kernels and agents at once."""
    for kind in ("kernel", "agent"):
        for place in sorted((work / kind).glob("*")):
            if not (cache.root / kind / place.name).exists():
                directory(cache.root / kind)
                publish(place, cache.root / kind / place.name)
    for entry in sorted(staged, key=lambda one: one.path.endswith((".raw", ".img"))):
        if entry.path.startswith(("bases/", "tools/")):
            directory((cache.root / entry.path).parent)
            publish(work / entry.path, cache.root / entry.path)
