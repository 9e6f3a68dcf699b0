"""File capabilities of a tree that was built under a user namespace (Linux: include/uapi/linux/capability.h).

A step's `setcap` names the root of its namespace, who is nobody in a guest, and the kernel drops capabilities from a
file whose content is touched.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

_NAME = "security.capability"
_OF_ROOT, _OF_NAMESPACE, _REVISION = 0x02000000, 0x03000000, 0xFF000000
_OF_ROOT_BYTES, _OF_NAMESPACE_BYTES = 20, 24


def read(path: Path) -> bytes | None:
    """Return the capabilities of a file as the kernel keeps them, None when it has none."""
    try:
        return os.getxattr(path, _NAME, follow_symlinks=False)
    except OSError:
        return None


def write(path: Path, capabilities: bytes) -> None:
    """Give a file capabilities in the kernel's form."""
    os.setxattr(path, _NAME, capabilities, follow_symlinks=False)


def for_guests(capabilities: bytes, root_id: int) -> bytes:
    """Return capabilities that hold for the root of a namespace, *root_id* outside of it, as those of any root."""
    if len(capabilities) != _OF_NAMESPACE_BYTES:
        return capabilities
    magic, root = struct.unpack_from("<I", capabilities)[0], struct.unpack_from("<I", capabilities, _OF_ROOT_BYTES)[0]
    if magic & _REVISION != _OF_NAMESPACE or root != root_id:
        return capabilities
    return struct.pack("<I", magic & ~_REVISION | _OF_ROOT) + capabilities[4:_OF_ROOT_BYTES]
