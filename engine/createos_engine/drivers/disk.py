"""Disk images: a sandbox's own file on top of an immutable base."""

from __future__ import annotations

from pathlib import Path

from createos_engine.drivers.command import run
from createos_engine.errors import HostFailed

_DEADLINE_S = 30.0
# Flattening reads and writes whole disks.
_FLATTEN_DEADLINE_S = 3600.0


class Disks:
    """qcow2 overlays through qemu-img."""

    async def create_overlay(self, base: Path, overlay: Path, size_mib: int) -> None:
        """Make an empty qcow2 overlay of *size_mib* on a raw base image; one that is there already is replaced."""
        if not base.is_file():
            raise HostFailed(f"the base image {base} is gone", hint="build it again: make setup")
        overlay.unlink(missing_ok=True)
        await run(
            *("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", overlay, f"{size_mib}M"),
            deadline_s=_DEADLINE_S,
        )
        # What a sandbox wrote is its owner's; libvirt gives the file to QEMU's user when the machine starts.
        overlay.chmod(0o600)

    async def create_on_layer(self, layer: Path, overlay: Path) -> None:
        """Make an empty qcow2 overlay of the same size on a frozen one; one that is there already is replaced."""
        if not layer.is_file():
            raise HostFailed(f"the disk {layer} is gone", hint="createosd doctor")
        overlay.unlink(missing_ok=True)
        await run(
            "qemu-img", "create", "-q", "-f", "qcow2", "-b", layer, "-F", "qcow2", overlay, deadline_s=_DEADLINE_S
        )
        overlay.chmod(0o600)

    async def flatten(self, overlay: Path, base: Path) -> None:
        """Let a disk that no machine uses stand on *base* alone, with everything of the layers between in itself.

        Its content is the same at every moment, so that this may be cut short and done again.
        """
        await run(
            *("nice", "-n", "19", "qemu-img", "rebase", "-q", "-f", "qcow2", "-b", base, "-F", "raw", overlay),
            deadline_s=_FLATTEN_DEADLINE_S,
        )
