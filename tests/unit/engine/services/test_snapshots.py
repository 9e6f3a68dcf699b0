"""The directory of snapshots: at most one of an id, and never one that is older than the disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from createos_engine.instance import make_directories
from createos_engine.paths import Paths
from createos_engine.services.snapshots import Snapshots
from createos_engine.services.steps import Steps

from tests.fakes.hypervisor import FakeHypervisor

ID = "sb-1"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths(tmp_path, tmp_path)
    make_directories(paths)
    return paths


@pytest.fixture
def snapshots(paths: Paths) -> Snapshots:
    return Snapshots(paths, FakeHypervisor(), Steps())


def test_a_new_snapshot_takes_the_place_of_one_that_was_left_behind_by_a_resume(
    paths: Paths, snapshots: Snapshots
) -> None:
    stale = paths.snapshot(ID)
    stale.directory.mkdir()
    stale.manifest.write_text("{}")

    memory = snapshots.begin(ID, mem_mib=256)

    assert memory.parent.is_dir()
    assert snapshots.ids() == frozenset()
    assert not snapshots.saved(ID)
