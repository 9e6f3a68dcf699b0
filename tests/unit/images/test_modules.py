from __future__ import annotations

import gzip
import lzma
from pathlib import Path

import pytest
from createos_images import modules
from createos_images.errors import ImageError

DEP = """\
kernel/a/ring.ko:
kernel/a/pci.ko: kernel/a/core.ko kernel/a/ring.ko
kernel/a/core.ko: kernel/a/ring.ko
kernel/b/virtio-rng.ko.xz: kernel/a/core.ko kernel/a/ring.ko
kernel/c/overlay.ko:
kernel/c/bridge.ko: kernel/c/stp.ko kernel/c/llc.ko
kernel/c/stp.ko: kernel/c/llc.ko
kernel/c/llc.ko:
"""
BUILTIN = "kernel/fs/ext4/ext4.ko\nkernel/lib/crc32c-generic.ko\n"


def order(before: list[str], after: list[str]) -> modules.LoadOrder:
    return modules.load_order(DEP, BUILTIN, before, after)


def test_what_a_module_needs_comes_before_it() -> None:
    found = order(["pci"], ["bridge"])

    assert found.before_root == ("kernel/a/ring.ko", "kernel/a/core.ko", "kernel/a/pci.ko")
    assert found.after_root == ("kernel/c/llc.ko", "kernel/c/stp.ko", "kernel/c/bridge.ko")


def test_no_module_is_named_twice() -> None:
    found = order(["pci", "core"], ["virtio_rng", "ring"])

    assert found.before_root == ("kernel/a/ring.ko", "kernel/a/core.ko", "kernel/a/pci.ko")
    assert found.after_root == ("kernel/b/virtio-rng.ko.xz",)


def test_the_file_for_the_guest_separates_what_the_root_needs() -> None:
    found = order(["ring"], ["virtio_rng"])

    assert found.text == "ring.ko\n-- root\ncore.ko\nvirtio-rng.ko\n"


def test_dashes_and_underscores_name_the_same_module() -> None:
    assert order(["virtio-rng"], []) == order(["virtio_rng"], [])


def test_builtin_modules_are_left_out() -> None:
    found = order(["ext4", "crc32c_generic"], ["ext4"])

    assert found == modules.LoadOrder((), (), ())


def test_a_missing_optional_module_is_noted() -> None:
    found = order(["ring"], ["overlay", "wireguard"])

    assert found.missing == ("wireguard",)
    assert found.after_root == ("kernel/c/overlay.ko",)


def test_a_missing_required_module_is_refused_by_name() -> None:
    with pytest.raises(ImageError, match="the kernel has no module virtio_blk, virtio_net"):
        order(["ring", "virtio_blk", "virtio_net"], [])


@pytest.mark.parametrize(("suffix", "pack"), [(".ko", bytes), (".ko.xz", lzma.compress), (".ko.gz", gzip.compress)])
def test_modules_are_read_uncompressed(tmp_path: Path, suffix: str, pack: type[bytes]) -> None:
    file = tmp_path / f"virtio{suffix}"
    file.write_bytes(pack(b"\x7fELF module"))

    assert modules.read(file) == b"\x7fELF module"


def test_the_signature_is_cut_off() -> None:
    module, signature = b"\x7fELF module", b"s" * 300
    trailer = bytes(8) + len(signature).to_bytes(4, "big") + b"~Module signature appended~\n"

    assert modules.unsigned(module + signature + trailer) == module


def test_an_unsigned_module_stays_as_it_is() -> None:
    assert modules.unsigned(b"\x7fELF module") == b"\x7fELF module"


def test_a_module_in_an_unknown_format_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "virtio.ko.lzo"
    file.write_bytes(b"x")

    with pytest.raises(ImageError, match=r"virtio\.ko\.lzo is compressed in a way we do not know"):
        modules.read(file)
