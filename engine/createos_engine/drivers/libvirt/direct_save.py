"""Save images written by QEMU itself into a file that it is handed, in libvirt's format.

libvirt's own `save` puts a helper process and a pipe in between, and looks five times a second whether QEMU has ended.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import libvirt

from createos_engine.drivers.libvirt.monitor import Refused, ask
from createos_engine.drivers.libvirt.savefile import COMPLETE, HEADER_BYTES, UNFINISHED, SaveHeader

# What libvirt itself puts into the header of an image.
_XML = libvirt.VIR_DOMAIN_XML_SECURE | libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_MIGRATABLE
# The stream begins at a page of the file. Another XML has room too.
_STREAM_OFFSET = 64 * 2**10
_FILE = "createos-save"
_UNBOUNDED = 2**50
_LOOK_AGAIN_S = 0.003


def create(path: Path) -> int:
    """Return a descriptor of a new file."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)


def save(domain: Any, handle: int) -> None:
    """Write memory and devices of a stopped machine to an empty file, which is whole and on the disk when this returns.

    The machine stays as it is, also after a failure: Refused or OSError, or libvirtError when it has ended.
    """
    header = SaveHeader(domain.XMLDesc(_XML), cookie="", was_running=True, data_bytes=_STREAM_OFFSET - HEADER_BYTES)
    os.write(handle, header.encode(UNFINISHED))
    ask(domain, "migrate-set-parameters", max_bandwidth=_UNBOUNDED)
    ask(domain, "getfd", files=[handle], fdname=_FILE)
    ask(domain, "migrate", uri=f"fd:{_FILE}")
    while (now := ask(domain, "query-migrate")).get("status") != "completed":
        if now.get("status") in ("failed", "cancelled"):
            raise Refused(f"QEMU could not write it: {now.get('error-desc', 'it does not say why')}")
        time.sleep(_LOOK_AGAIN_S)
    os.pwrite(handle, COMPLETE, 0)
    os.fsync(handle)


def cancel(domain: Any) -> None:
    """Have nothing more written of a machine's memory; that nothing is being written is fine."""
    ask(domain, "migrate_cancel")
