"""Bundles: what goes in comes out, and nothing else gets in."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from createos_images import digest
from createos_images.bundle import export_bundle, import_bundle
from createos_images.bundle_manifest import BundledTemplate
from createos_images.cache import Cache, name_base, names
from createos_images.errors import ImageError
from createos_images.kernel import find_kernel
from createos_images.progress import silent
from createos_images.tools import find_tools, make_current

MIB = 2**20
Change = Callable[[dict[str, Any]], object]


def add_base(cache: Cache, name: str, text: bytes) -> str:
    """Put a sparse base of 8 MiB into a cache."""
    cache.bases.mkdir(parents=True, exist_ok=True)
    raw = cache.bases / "new"
    with raw.open("wb") as file:
        file.truncate(8 * MIB)
        file.seek(4 * MIB)
        file.write(text)
    known = digest.of_file(raw)
    raw.rename(cache.bases / f"{known}.raw")
    said = {"name": name, "size_bytes": 8 * MIB, "config": {"env": {}}, "recipe": ""}
    (cache.bases / f"{known}.json").write_text(json.dumps(said))
    return known


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    cache = Cache(tmp_path / "cache")
    kernel = cache.kernels / "6.1.0-1-cloud"
    (kernel / "modules" / "kernel").mkdir(parents=True)
    (kernel / "vmlinux").write_bytes(b"kernel")
    (kernel / "modules" / "modules.dep").write_text("")
    (kernel / "modules" / "kernel" / "a.ko").write_bytes(b"module")
    (cache.kernels / "current").symlink_to("6.1.0-1-cloud")
    for name in ("busybox:1", "debian:12"):
        name_base(cache, name, add_base(cache, name, name.encode()), silent)
    return cache


@pytest.fixture
def template(cache: Cache) -> BundledTemplate:
    return BundledTemplate("mine", "FROM busybox:1\n", "busybox:1", "key", add_base(cache, "mine", b"mine"), 8 * MIB)


@pytest.fixture
def bundle(cache: Cache, template: BundledTemplate, tmp_path: Path) -> Path:
    export_bundle(cache, tmp_path / "a.bundle", [template], silent)
    return tmp_path / "a.bundle"


def add_tools(cache: Cache) -> str:
    """Put a tools disk into a cache."""
    cache.tools.mkdir()
    known = digest.of_text("tools")
    (cache.tools / f"{known}.img").write_text("tools")
    (cache.tools / f"{known}.json").write_text(json.dumps({"recipe": "made of this"}))
    make_current(cache, known)
    return known


@pytest.fixture
def other(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "other")


def test_everything_arrives_on_the_other_host(
    cache: Cache, other: Cache, bundle: Path, template: BundledTemplate
) -> None:
    manifest = import_bundle(other, bundle, silent)
    kernel = find_kernel(other)

    assert kernel is not None
    assert kernel.version == "6.1.0-1-cloud"
    assert (kernel.modules_dir / "kernel" / "a.ko").read_bytes() == b"module"
    assert names(other) == names(cache)
    assert manifest.templates == (template,)
    assert digest.of_file(other.bases / f"{template.digest}.raw") == template.digest


def test_the_tools_disk_goes_along(cache: Cache, other: Cache, tmp_path: Path) -> None:
    known = add_tools(cache)
    export_bundle(cache, tmp_path / "b", [], silent)
    import_bundle(other, tmp_path / "b", silent)

    found = find_tools(other)
    assert found is not None
    assert (found.digest, found.recipe, found.path.read_text()) == (known, "made of this", "tools")


def test_a_bundle_without_a_tools_disk_leaves_the_one_that_is_there(other: Cache, bundle: Path) -> None:
    other.root.mkdir()
    known = add_tools(other)
    import_bundle(other, bundle, silent)

    found = find_tools(other)
    assert found is not None
    assert found.digest == known


def test_holes_are_neither_written_nor_lost(other: Cache, bundle: Path, template: BundledTemplate) -> None:
    import_bundle(other, bundle, silent)
    found = (other.bases / f"{template.digest}.raw").stat()

    assert bundle.stat().st_size < MIB
    assert found.st_size == 8 * MIB
    assert found.st_blocks * 512 < MIB


def test_an_import_can_be_repeated(other: Cache, bundle: Path) -> None:
    import_bundle(other, bundle, silent)
    import_bundle(other, bundle, silent)

    assert set(names(other)) == {"busybox:1", "debian:12"}


def test_only_the_images_that_were_asked_for_go_along(cache: Cache, other: Cache, tmp_path: Path) -> None:
    export_bundle(cache, tmp_path / "b", [], silent, only=["busybox:1"])
    import_bundle(other, tmp_path / "b", silent)

    assert set(names(other)) == {"busybox:1"}


def test_an_image_that_is_not_there_cannot_be_asked_for(cache: Cache, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="plan9:4 is not built"):
        export_bundle(cache, tmp_path / "b", [], silent, only=["plan9:4"])

    assert not (tmp_path / "b").exists()


def changed(bundle: Path, change: Change) -> Path:
    """Rewrite a bundle's manifest."""
    result = bundle.with_name("changed.bundle")
    with tarfile.open(bundle) as old, tarfile.open(result, "w") as new:
        for member in old:
            data = old.extractfile(member)
            assert data
            content = data.read()
            if member.name == "manifest.json":
                said = json.loads(content)
                change(said)
                content = json.dumps(said).encode()
            member.size = len(content)
            new.addfile(member, io.BytesIO(content))
    return result


def set_path(path: str) -> Change:
    return lambda said: said["files"][0].update(path=path)


HOSTILE: dict[str, Change] = {
    "a path that leaves the cache": set_path("../../etc/passwd"),
    "an absolute path": set_path("/etc/passwd"),
    "a path with dots inside": set_path("kernel/6.1/modules/../../../x"),
    "another place of the cache": set_path("names.json"),
    "a place among the tools disks": set_path("tools/current"),
    "a tools disk that is not in it": lambda said: said.update(tools="ab" * 32),
    "a base under another digest": lambda said: next(
        one for one in said["files"] if one["path"].endswith(".raw")
    ).update(digest="0" * 64),
    "a name without its image": lambda said: said["names"].update(ghost="1" * 64),
    "parts that overlap": lambda said: said["files"][0].update(extents=[[0, 3], [1, 3]]),
    "parts behind the end": lambda said: said["files"][0].update(extents=[[0, 10**12]]),
    "another format": lambda said: said.update(format=99),
    "words for numbers": lambda said: said["files"][0].update(size="many"),
    "no kernel": lambda said: said.update(kernel="7.0"),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_manifest_that_lies_is_refused(other: Cache, bundle: Path, change: Change) -> None:
    with pytest.raises(ImageError) as refused:
        import_bundle(other, changed(bundle, change), silent)

    assert refused.value.hint
    assert names(other) == {}


@pytest.mark.parametrize("place", [0.2, 0.5])
def test_a_bundle_that_is_cut_short_or_damaged_changes_nothing(other: Cache, bundle: Path, place: float) -> None:
    data = bytearray(bundle.read_bytes())
    cut = bundle.with_name("cut.bundle")
    cut.write_bytes(data[: int(len(data) * place)])

    with pytest.raises(ImageError):
        import_bundle(other, cut, silent)

    assert names(other) == {}
    assert find_kernel(other) is None


def test_a_flipped_bit_in_an_image_is_found(other: Cache, bundle: Path) -> None:
    bundle.write_bytes(bundle.read_bytes().replace(b"debian:12\0\0\0\0\0\0\0", b"debian:13\0\0\0\0\0\0\0"))

    with pytest.raises(ImageError, match="is damaged"):
        import_bundle(other, bundle, silent)
