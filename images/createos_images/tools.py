"""The tools disk: s3fs with all that it needs, for guests whatever their image is. The agent mounts it (PROTOCOL.md).

bin/s3fs, lib/*.so*     the program and every library it loads
lib/ld.so               starts it: nothing of the guest's own libraries is used
etc/ca-certificates.crt, etc/mime.types
copyright/<package>     of the packages it was made of
"""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from createos_images import digest, ext4, mmdebstrap
from createos_images.cache import Cache, building, partial, publish, publish_text
from createos_images.command import run
from createos_images.errors import ImageError
from createos_images.progress import Progress

SUITE = "bookworm"
PACKAGES = ("s3fs", "ca-certificates", "media-types")
PROGRAM = "usr/bin/s3fs"
LOADER = "lib64/ld-linux-x86-64.so.2"
LIBRARY_PATH = "/usr/lib/x86_64-linux-gnu:/lib/x86_64-linux-gnu"
LIST_TIMEOUT_S = 60.0

FORMAT = 1
"""Raised when the code below changes what comes out, so that a cached disk is built anew."""

RECIPE = digest.of_text(f"{FORMAT} {SUITE} {' '.join(PACKAGES)}")


@dataclass(frozen=True)
class Tools:
    """A read-only ext4 file, named by its digest; *recipe* is the digest of what it was built from."""

    path: Path
    digest: str
    recipe: str


def find_tools(cache: Cache) -> Tools | None:
    """Return the disk that `tools/current` in the cache points to, or None."""
    current = cache.tools / "current"
    try:
        path = current.resolve(strict=True)
        said = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        return Tools(path, path.stem, said["recipe"])
    except (OSError, ValueError, KeyError):
        return None


def ensure_tools(cache: Cache, progress: Progress, mirror: str | None = None) -> Tools:
    """Return the disk, building it if it is missing or made of something else. Building needs root and a network."""
    found = _current(cache)
    if found:
        return found
    if os.geteuid() != 0:
        raise ImageError("the tools disk is not built yet and building it needs root", "run sudo make setup")
    with building(cache, "tools", progress):
        return _current(cache) or _build(cache, progress, mirror)


def make_current(cache: Cache, tools_digest: str) -> None:
    """Let guests get the disk with this digest from now on."""
    link = cache.tools / "current.new"
    link.unlink(missing_ok=True)
    link.symlink_to(f"{tools_digest}.img")
    link.rename(cache.tools / "current")


def _current(cache: Cache) -> Tools | None:
    found = find_tools(cache)
    return found if found and found.recipe == RECIPE else None


def _build(cache: Cache, progress: Progress, mirror: str | None) -> Tools:
    with partial(cache.tools, "tools") as work:
        progress("downloading s3fs and what it needs")
        packages, tree, image = work / "packages", work / "tree", work / "tools.img"
        mmdebstrap.unpack(SUITE, PACKAGES, packages, mirror)
        furnish(packages, tree)
        ext4.make_sealed(tree, image)
        known = digest.of_file(image)
        tools = Tools(cache.tools / f"{known}.img", known, RECIPE)
        libraries = sorted(place.name for place in (tree / "lib").iterdir())
        said = {"recipe": RECIPE, "suite": SUITE, "packages": PACKAGES, "libraries": libraries}
        publish_text(json.dumps(said, indent=2) + "\n", tools.path.with_suffix(".json"))
        publish(image, tools.path)
    make_current(cache, tools.digest)
    return tools


def furnish(packages: Path, tree: Path) -> None:
    """Make the content of the disk in *tree* out of unpacked packages; the same packages give the same content."""
    for name in ("bin", "lib", "etc", "copyright"):
        (tree / name).mkdir(parents=True)
    shutil.copyfile(packages / PROGRAM, tree / "bin/s3fs")
    shutil.copyfile(packages / LOADER, tree / "lib/ld.so")
    for name, place in _libraries(packages).items():
        shutil.copyfile(packages / place.lstrip("/"), tree / "lib" / name)
    certificates = sorted((packages / "usr/share/ca-certificates/mozilla").glob("*.crt"))
    (tree / "etc/ca-certificates.crt").write_text("".join(each.read_text() for each in certificates))
    shutil.copyfile(packages / "etc/mime.types", tree / "etc/mime.types")
    for each in (packages / "usr/share/doc").glob("*/copyright"):
        shutil.copyfile(each, tree / "copyright" / each.parent.name)
    _settle(tree)


def _libraries(packages: Path) -> dict[str, str]:
    """Return {name: path in *packages*} of everything that the program is linked with, directly or not."""
    loader = (f"/{LOADER}", "--inhibit-cache", "--library-path", LIBRARY_PATH)
    listed = run("chroot", packages, *loader, "--list", f"/{PROGRAM}", timeout_s=LIST_TIMEOUT_S)
    if "not found" in listed:
        raise ImageError("the packages of the tools disk lack a library", "run make setup again", details=listed)
    return dict(re.findall(r"(\S+) => (/\S+)", listed))


def _settle(tree: Path) -> None:
    """Give everything one date, and modes that do not depend on the umask."""
    for path in (tree, *tree.rglob("*")):
        executable = path.is_dir() or path.parent.name == "bin" or path.name == "ld.so"
        path.chmod(0o755 if executable else 0o644)
        os.utime(path, (ext4.EPOCH, ext4.EPOCH))
