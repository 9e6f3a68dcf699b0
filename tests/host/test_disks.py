"""Real qcow2 files: a long chain becomes a short one with the same content, and holes stay holes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from createos_engine.drivers import qcow2
from createos_engine.drivers.disk import Disks
from createos_engine.instance import make_directories
from createos_engine.paths import Paths
from createos_engine.services.layers import Layers
from createos_engine.services.steps import Steps

pytestmark = pytest.mark.root

DEPTH, SIZE_MIB = 6, 1024


async def test_a_chain_is_flattened_with_its_content_and_without_filling_its_holes(tmp_path: Path) -> None:
    paths, disks, base = Paths(tmp_path, tmp_path), Disks(), tmp_path / "base.raw"
    make_directories(paths)
    layers, overlay = Layers(disks, paths, Steps()), paths.sandbox("sb-1").overlay
    overlay.parent.mkdir()
    with base.open("wb") as file:
        file.truncate(SIZE_MIB * 2**20)
    await disks.create_overlay(base, overlay, SIZE_MIB)
    for number in range(1, DEPTH):
        _io(overlay, f"write -P {number} {number * 100}M 64k")
        await layers.freeze("sb-1")
    before = layers.depth("sb-1")

    await layers.flatten("sb-1")

    assert (before, qcow2.chain(overlay)) == (DEPTH, (base,))
    for number in range(1, DEPTH):
        _io(overlay, f"read -P {number} {number * 100}M 64k")
    assert overlay.stat().st_blocks * 512 < 4 * 2**20
    assert base.stat().st_blocks == 0
    assert len(await layers.collect(())) == DEPTH - 1


def _io(disk: Path, command: str) -> None:
    """Write, or read and compare, as a guest would."""
    done = subprocess.run(["qemu-io", "-c", command, str(disk)], capture_output=True, text=True, check=True)
    assert "verification failed" not in done.stdout
