from __future__ import annotations

from pathlib import Path

import pytest
from createos_images.cache import Cache, directory
from createos_images.errors import ImageError
from createos_images.kernel import ensure_kernel, find_kernel, update_kernel
from createos_images.progress import silent

from tests.unit.images.conftest import FakeProgram

PACKAGE = "linux-image-6.1.0-9-cloud-amd64"
VERSION = "6.1.0-9-cloud-amd64"


@pytest.fixture
def debian(fake_program: FakeProgram) -> None:
    """A host whose apt offers one kernel, with an uncompressed image."""
    fake_program("apt-cache", f'echo "$4"; echo "  Depends: {PACKAGE}"')
    fake_program("apt-get", f"[ $3 = {PACKAGE} ] && touch {PACKAGE}_1_amd64.deb")
    tree = f'"$3"/lib/modules/{VERSION}/kernel'
    fake_program(
        "dpkg-deb",
        f'mkdir -p {tree} "$3"/boot; printf \'\\177ELFkernel\' > "$3"/boot/vmlinuz-{VERSION}; touch {tree}/virtio.ko',
    )
    fake_program("depmod", 'echo "kernel/virtio.ko:" > "$2"/lib/modules/"$3"/modules.dep')


@pytest.mark.usefixtures("debian")
def test_the_newest_kernel_of_the_mirror_is_unpacked_into_the_cache(cache: Cache, said: list[str]) -> None:
    kernel = ensure_kernel(cache, said.append)

    assert kernel.version == VERSION
    assert kernel.vmlinux.read_bytes() == b"\x7fELFkernel"
    assert (kernel.modules_dir / "modules.dep").read_text() == "kernel/virtio.ko:\n"
    assert said == [f"downloading the kernel {VERSION}", "unpacking the kernel and its modules"]
    assert sorted(path.name for path in cache.kernels.iterdir()) == [VERSION, "current"]


@pytest.mark.usefixtures("debian")
def test_a_cached_kernel_needs_no_apt(cache: Cache, fake_program: FakeProgram) -> None:
    first = ensure_kernel(cache, silent)
    for program in ("apt-cache", "apt-get"):
        fake_program(program, "exit 100")

    assert ensure_kernel(cache, silent) == first


@pytest.mark.usefixtures("debian")
def test_an_update_keeps_the_older_kernel(cache: Cache) -> None:
    put_by_hand(cache, "5.10-mine")

    updated = update_kernel(cache, silent)

    assert find_kernel(cache) == updated
    assert (cache.kernels / "5.10-mine" / "vmlinux").is_file()


def test_a_kernel_put_in_by_hand_is_used(cache: Cache) -> None:
    place = put_by_hand(cache, "6.12-small")

    kernel = ensure_kernel(cache, silent)

    assert (kernel.version, kernel.vmlinux, kernel.modules_dir) == ("6.12-small", place / "vmlinux", place / "modules")


def test_another_vmlinux_has_another_digest(cache: Cache) -> None:
    place = put_by_hand(cache, "6.12-small")
    before = ensure_kernel(cache, silent)
    (place / "vmlinux").write_bytes(b"\x7fELF other")

    assert ensure_kernel(cache, silent).digest != before.digest


def test_an_empty_cache_has_no_kernel(cache: Cache) -> None:
    assert find_kernel(cache) is None


def test_a_link_to_a_directory_without_a_kernel_is_refused(cache: Cache) -> None:
    place = put_by_hand(cache, "6.12-small")
    (place / "vmlinux").unlink()

    with pytest.raises(ImageError, match="holds no vmlinux"):
        find_kernel(cache)


def test_no_mirror_says_that_the_network_is_missing(cache: Cache, fake_program: FakeProgram) -> None:
    fake_program("apt-cache", f'echo "  Depends: {PACKAGE}"')
    fake_program("apt-get", "echo \"E: Temporary failure resolving 'deb.debian.org'\" >&2; exit 100")

    with pytest.raises(ImageError, match=rf"package {PACKAGE} cannot be downloaded: no mirror answers") as caught:
        ensure_kernel(cache, silent)

    assert "make setup" in caught.value.hint
    assert list(cache.kernels.iterdir()) == []


def test_an_apt_without_package_lists_is_told_from_a_missing_network(cache: Cache, fake_program: FakeProgram) -> None:
    fake_program("apt-cache", 'echo "W: No packages found" >&2')

    with pytest.raises(ImageError, match="apt knows no package linux-image-cloud-amd64") as caught:
        ensure_kernel(cache, silent)

    assert "apt-get update" in caught.value.hint


def put_by_hand(cache: Cache, version: str) -> Path:
    place = directory(cache.kernels / version)
    directory(place / "modules")
    (place / "vmlinux").write_bytes(b"\x7fELF")
    (cache.kernels / "current").symlink_to(version)
    return place
