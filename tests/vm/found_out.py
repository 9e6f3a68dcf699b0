"""What the first engine of a run finds out about this machine, for those after it: each would need 6 to 10 seconds."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

# The accelerator, and libvirt's own view of QEMU.
_NAMES = ("probe.json", "libvirt/cache/qemu/capabilities")


class FoundOut:
    """Keeps it for as long as the run lasts."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="createos-test-known-")

    def take(self, state: Path) -> None:
        """Keep what the engine with this state directory has found out."""
        _copy(state, Path(self._directory.name))

    def give(self, state: Path) -> None:
        """Give it to an engine that has not been started yet."""
        _copy(Path(self._directory.name), state)


def _copy(source: Path, target: Path) -> None:
    for name in _NAMES:
        if not (source / name).exists() or (target / name).exists():
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True, mode=0o711)
        (shutil.copytree if (source / name).is_dir() else shutil.copy2)(source / name, target / name)
