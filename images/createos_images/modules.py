"""Which kernel modules a guest gets, and in which order they load."""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from createos_images.errors import ImageError

BEFORE_ROOT = (
    *("virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci"),
    *("virtio_blk", "virtio_console", "virtio_rng"),
    *("failover", "net_failover", "virtio_net"),
)
"""Needed to find the root file system, the channel to the host and the network. A guest cannot do without them."""

AFTER_ROOT = (
    *("virtio_balloon", "overlay", "fuse", "loop", "tun"),
    *("veth", "bridge", "wireguard"),
    *("nf_tables", "nft_compat", "nft_ct", "nft_nat", "nft_chain_nat", "nft_masq", "nft_reject_inet", "nft_fib_inet"),
    *("xt_conntrack", "xt_MASQUERADE", "xt_addrtype", "xt_nat", "xt_tcpudp", "xt_mark"),
)
"""What people run in a sandbox: containers, mounts of S3 and images, tunnels, firewalls. Loaded in the background."""

SIGNATURE_MARKER = b"~Module signature appended~\n"
SIGNATURE_TRAILER_BYTES = 12

ROOT_LINE = "-- root"
"""The line of /modules/order between the two."""


@dataclass(frozen=True)
class LoadOrder:
    """Files (relative to the modules directory) in the order in which they must load, and names that are missing."""

    before_root: tuple[str, ...]
    after_root: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def text(self) -> str:
        """The file /modules/order, one file name a line."""
        lines = [*map(name_in_guest, self.before_root), ROOT_LINE, *map(name_in_guest, self.after_root)]
        return "".join(f"{line}\n" for line in lines)


def load_order(
    modules_dep: str,
    modules_builtin: str,
    before_root: Iterable[str] = BEFORE_ROOT,
    after_root: Iterable[str] = AFTER_ROOT,
) -> LoadOrder:
    """Work out the order from the texts of modules.dep and modules.builtin: what a module needs comes before it.

    Raises ImageError when the kernel lacks a module of *before_root*; those of *after_root* may be missing.
    """
    needs = parse_dependencies(modules_dep)
    builtin = {_module_name(line) for line in modules_builtin.split()}
    files = {_module_name(file): file for file in needs}
    first, lacking = _resolve(before_root, files, needs, builtin)
    if lacking:
        raise ImageError(f"the kernel has no module {', '.join(lacking)}", "use a kernel with virtio over PCI")
    second, missing = _resolve(after_root, files, needs, builtin)
    return LoadOrder(first, tuple(file for file in second if file not in first), missing)


def parse_dependencies(modules_dep: str) -> dict[str, list[str]]:
    """Return file → the files it needs, nearest first, as depmod writes them ("a.ko: b.ko c.ko")."""
    pairs = (line.partition(":") for line in modules_dep.splitlines() if ":" in line)
    return {file: needed.split() for file, _, needed in pairs}


def read(file: Path) -> bytes:
    """Return a module as the guest gets it: neither compressed nor signed."""
    return unsigned(_uncompressed(file))


def unsigned(module: bytes) -> bytes:
    """Cut the signature off. The host made the image; checking 11 signatures costs 80 ms of a boot (measured, TCG).

    A kernel that accepts signed modules only cannot be used; Debian's accepts both. The signature is followed
    by a trailer of 12 bytes, which ends in its length, and the marker (kernel: include/linux/module_signature.h).
    """
    if not module.endswith(SIGNATURE_MARKER):
        return module
    end = len(module) - len(SIGNATURE_MARKER)
    length = int.from_bytes(module[end - 4 : end], "big")
    return module[: end - SIGNATURE_TRAILER_BYTES - length]


def _uncompressed(file: Path) -> bytes:
    data = file.read_bytes()
    if file.suffix == ".xz":
        return lzma.decompress(data)
    if file.suffix == ".gz":
        return zlib.decompress(data, wbits=16 + zlib.MAX_WBITS)
    if file.suffix != ".ko":
        raise ImageError(f"the module {file.name} is compressed in a way we do not know", "use .ko, .ko.xz or .ko.gz")
    return data


def _resolve(
    wanted: Iterable[str], files: Mapping[str, str], needs: Mapping[str, list[str]], builtin: set[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    order: dict[str, None] = {}
    missing = []
    for name in map(_module_name, wanted):
        if name in files:
            # depmod lists what is needed with the deepest dependency last
            order.update(dict.fromkeys([*reversed(needs[files[name]]), files[name]]))
        elif name not in builtin:
            missing.append(name)
    return tuple(order), tuple(missing)


def _module_name(file: str) -> str:
    """Return the name that modules are known by: `virtio_rng` for `kernel/…/virtio-rng.ko.xz`."""
    return PurePosixPath(file).name.split(".")[0].replace("-", "_")


def name_in_guest(file: str) -> str:
    """Return the file name that a module of modules.dep has in the guest: `virtio.ko`."""
    return f"{PurePosixPath(file).name.split('.')[0]}.ko"
