"""The kernel that guests boot: Debian's cloud kernel, taken from its package, or one that was put in by hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from createos_images import bzimage, debian, digest
from createos_images.cache import Cache, building, directory, partial, publish
from createos_images.command import run
from createos_images.errors import ImageError
from createos_images.progress import Progress

META_PACKAGE = "linux-image-cloud-amd64"
PACKAGE_PATTERN = r"linux-image-[0-9].*-cloud-amd64"
DEPMOD_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Kernel:
    """A bootable kernel; *digest* is that of *vmlinux*. *modules_dir* holds modules.dep and what it names."""

    version: str
    vmlinux: Path
    modules_dir: Path
    digest: str


def find_kernel(cache: Cache) -> Kernel | None:
    """Return the kernel that `kernel/current` in the cache points to, or None."""
    current = cache.kernels / "current"
    if not current.exists():
        return None
    place = current.resolve()
    if not (place / "vmlinux").is_file():
        raise ImageError(f"{current} points to {place}, which holds no vmlinux", "remove the link and run make setup")
    return Kernel(place.name, place / "vmlinux", place / "modules", digest.of_file(place / "vmlinux"))


def ensure_kernel(cache: Cache, progress: Progress) -> Kernel:
    """Return the kernel of the cache; the first time, download it. Needs neither root nor, later, a network."""
    found = find_kernel(cache)
    if found:
        return found
    with building(cache, "kernel", progress):
        return find_kernel(cache) or _install_newest(cache, progress)


def update_kernel(cache: Cache, progress: Progress) -> Kernel:
    """Make the newest kernel of the host's Debian mirror the one that is used; older ones stay in the cache."""
    with building(cache, "kernel", progress):
        return _install_newest(cache, progress)


def _install_newest(cache: Cache, progress: Progress) -> Kernel:
    package = debian.newest_dependency(META_PACKAGE, PACKAGE_PATTERN)
    version = package.removeprefix("linux-image-")
    if not (cache.kernels / version / "vmlinux").is_file():
        _install(cache, package, version, progress)
    make_current(cache, version)
    found = find_kernel(cache)
    assert found
    return found


def _install(cache: Cache, package: str, version: str, progress: Progress) -> None:
    with partial(cache.kernels, "kernel") as work:
        progress(f"downloading the kernel {version}")
        tree = debian.fetch(package, work / "package")
        progress("unpacking the kernel and its modules")
        result = directory(work / version)
        (result / "vmlinux").write_bytes(bzimage.vmlinux((tree / "boot" / f"vmlinuz-{version}").read_bytes()))
        run("depmod", "--basedir", tree, version, timeout_s=DEPMOD_TIMEOUT_S)
        (tree / "lib/modules" / version).rename(result / "modules")
        publish(result, cache.kernels / version)


def make_current(cache: Cache, version: str) -> None:
    """Let guests boot the kernel of this version from now on."""
    link = cache.kernels / "current.new"
    link.unlink(missing_ok=True)
    link.symlink_to(version)
    link.rename(cache.kernels / "current")
