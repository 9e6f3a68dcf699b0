"""The directory of snapshots: at most one of an id, and never one that is older than the disk."""

from __future__ import annotations

import asyncio
from pathlib import Path
from unittest.mock import patch

import pytest
from createos_engine.errors import HostFailed
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


async def test_a_memory_is_summed_while_its_machine_is_being_ended(paths: Paths, snapshots: Snapshots) -> None:
    hypervisor = FakeHypervisor()
    hypervisor.machines["one"] = ID
    memory = snapshots.begin(ID, mem_mib=1)
    summed = asyncio.Event()

    async def digests(image: Path) -> tuple[str, ...]:
        assert image == memory
        summed.set()
        return ()

    with patch.object(FakeHypervisor, "digests", staticmethod(digests)):
        async with snapshots.summing(ID):
            await hypervisor.save("one", memory)
            await asyncio.wait_for(summed.wait(), 30)


async def test_a_memory_that_was_not_saved_whole_is_not_summed(snapshots: Snapshots) -> None:
    snapshots.begin(ID, mem_mib=1)

    with pytest.raises(HostFailed, match="save was refused"):
        async with snapshots.summing(ID):
            raise HostFailed("save was refused")

    assert not snapshots.saved(ID)
