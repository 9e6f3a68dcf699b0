from __future__ import annotations

import gzip
import lzma
import struct
import subprocess
from collections.abc import Callable

import pytest
from createos_images import bzimage
from createos_images.errors import ImageError

KERNEL = b"\x7fELF" + bytes(range(256)) * 1000
SETUP_SECTORS = 3
STUB = 100
"""Bytes of decompressor in front of the payload."""


def bzimage_of(payload: bytes, *, version: int = 0x020F, length: int | None = None) -> bytes:
    image = bytearray((SETUP_SECTORS + 1) * 512 + STUB)
    image[0x1F1] = SETUP_SECTORS
    image[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", image, 0x206, version)
    struct.pack_into("<II", image, 0x248, STUB, len(payload) if length is None else length)
    return bytes(image) + payload + b"signature"


def with_size(packed: bytes) -> bytes:
    """The kernel's build appends the unpacked size to what its compressors print, except for gzip."""
    return packed + struct.pack("<I", len(KERNEL))


def filtered(*argv: str) -> Callable[[bytes], bytes]:
    return lambda data: with_size(subprocess.run(argv, input=data, capture_output=True, check=True).stdout)


@pytest.mark.parametrize(
    "pack",
    [
        filtered("lz4", "-l", "-9", "-c"),
        filtered("zstd", "-c"),
        gzip.compress,
        lambda data: with_size(lzma.compress(data)),
        bytes,
    ],
    ids=["lz4", "zstd", "gzip", "xz", "plain"],
)
def test_the_kernel_comes_out_of_the_image(pack: Callable[[bytes], bytes]) -> None:
    assert bzimage.vmlinux(bzimage_of(pack(KERNEL))) == KERNEL


def test_an_uncompressed_kernel_is_taken_as_it_is() -> None:
    assert bzimage.vmlinux(KERNEL) == KERNEL


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (b"", "this is not an x86 kernel image"),
        (b"MZ" + bytes(4096), "this is not an x86 kernel image"),
        (bzimage_of(gzip.compress(KERNEL), version=0x0204), "boot protocol 0x0204"),
        (bzimage_of(gzip.compress(KERNEL), length=2**31), "cut short"),
        (bzimage_of(b"", length=0), "cut short"),
        (bzimage_of(b"BZh9" + bytes(100)), r"compressed with something else than .* \(425a6839\)"),
        (bzimage_of(gzip.compress(b"not a kernel")), "does not hold an ELF kernel"),
        (bzimage_of(b"\x1f\x8b" + bytes(100)), "damaged"),
        (bzimage_of(b"\xfd7zXZ\0" + bytes(100)), "damaged"),
        (bzimage_of(b"\x02\x21\x4c\x18" + bytes(100)), "lz4|does not hold"),
    ],
)
def test_other_images_are_refused_with_the_reason(image: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        bzimage.vmlinux(image)
