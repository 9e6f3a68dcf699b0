"""Take the uncompressed kernel out of a bzImage, which QEMU starts a second sooner (PVH entry).

Offsets are those of the x86 boot protocol (kernel: Documentation/arch/x86/boot.rst).
"""

from __future__ import annotations

import lzma
import struct
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

from createos_images.command import run
from createos_images.errors import ImageError

SETUP_SECTORS = 0x1F1
HEADER_MAGIC = 0x202
PROTOCOL_VERSION = 0x206
PAYLOAD_OFFSET = 0x248
PAYLOAD_PROTOCOL = 0x0208
"""The first version of the protocol that says where the payload is."""

SECTOR = 512
ELF = b"\x7fELF"
DECOMPRESS_TIMEOUT_S = 120.0
OUTPUT_FLAG = {"lz4": (), "zstd": ("-o",)}
"""What each program wants in front of the name of its output."""


def vmlinux(image: bytes) -> bytes:
    """Return the ELF kernel inside a bzImage (or *image* itself if it is one already).

    Raises ImageError when the image is something else or is compressed in a way we do not know.
    """
    if image.startswith(ELF):
        return image
    packed = payload(image)
    kernel = _unpacker(packed)(packed)
    if not kernel.startswith(ELF):
        raise ImageError("the kernel image does not hold an ELF kernel", "drop an uncompressed vmlinux in by hand")
    return kernel


def payload(image: bytes) -> bytes:
    """Return the compressed kernel of a bzImage, with the four bytes of its unpacked size that follow it."""
    if len(image) < PAYLOAD_OFFSET + 8 or image[HEADER_MAGIC : HEADER_MAGIC + 4] != b"HdrS":
        raise ImageError("this is not an x86 kernel image", "give a vmlinuz of a Debian kernel package")
    (version,) = struct.unpack_from("<H", image, PROTOCOL_VERSION)
    if version < PAYLOAD_PROTOCOL:
        raise ImageError(f"the kernel image has boot protocol {version:#06x}, 0x0208 or later is needed")
    setup_bytes = ((image[SETUP_SECTORS] or 4) + 1) * SECTOR  # 0 means 4, for the sake of very old boot loaders
    offset, length = struct.unpack_from("<II", image, PAYLOAD_OFFSET)
    found = image[setup_bytes + offset : setup_bytes + offset + length]
    if not length or len(found) != length:
        raise ImageError("the kernel image is cut short", "remove it and run make setup")
    return found


def _unpacker(packed: bytes) -> Callable[[bytes], bytes]:
    unpackers: dict[bytes, Callable[[bytes], bytes]] = {
        b"\x02\x21\x4c\x18": lambda data: _with_program("lz4", data[:-4]),
        b"\x28\xb5\x2f\xfd": lambda data: _with_program("zstd", data[:-4]),
        b"\x1f\x8b": _gunzip,
        b"\xfd7zXZ": lambda data: _unxz(data[:-4]),
        ELF: lambda data: data,
    }
    for magic, unpack in unpackers.items():
        if packed.startswith(magic):
            return unpack
    known = "lz4, zstd, gzip or xz"
    raise ImageError(f"the kernel image is compressed with something else than {known} ({packed[:4].hex()})")


def _with_program(program: str, data: bytes) -> bytes:
    with tempfile.TemporaryDirectory() as place:
        packed, unpacked = Path(place, "packed"), Path(place, "unpacked")
        packed.write_bytes(data)
        run(program, "-d", "-q", "-f", packed, *OUTPUT_FLAG[program], unpacked, timeout_s=DECOMPRESS_TIMEOUT_S)
        return unpacked.read_bytes()


def _gunzip(data: bytes) -> bytes:
    try:
        return zlib.decompressobj(wbits=16 + zlib.MAX_WBITS).decompress(data)
    except zlib.error as exc:
        raise ImageError(f"the kernel image is damaged: {exc}", "remove it and run make setup") from exc


def _unxz(data: bytes) -> bytes:
    try:
        return lzma.decompress(data)
    except lzma.LZMAError as exc:
        raise ImageError(f"the kernel image is damaged: {exc}", "remove it and run make setup") from exc
