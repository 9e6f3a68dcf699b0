"""Memory that nobody uses yet is given up before anybody is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from createos_engine.errors import Unavailable
from createos_engine.services import resumes as module
from createos_engine.services.admission import QEMU_OVERHEAD_MIB
from createos_engine.services.standbys import Standbys
from createos_engine.words import State

from tests.fakes.crash_world import CrashWorld


@pytest.mark.parametrize("freed_mib", [256 + QEMU_OVERHEAD_MIB, 0])
async def test_a_resume_gets_the_memory_of_machines_that_stand_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, freed_mib: int
) -> None:
    free = [0]

    async def make_room(_: object) -> bool:
        free[0] = freed_mib
        return bool(freed_mib)

    monkeypatch.setattr(Standbys, "make_room", make_room)
    (tmp_path / "state").mkdir()
    world = await CrashWorld(tmp_path / "state").open()
    await world.start()
    box = await world.box()
    await world.pause(box)
    monkeypatch.setattr(module, "available_memory_mib", lambda: free[0])

    if freed_mib:
        await world.resumes.resume(world.user, box.id)
    else:
        with pytest.raises(Unavailable, match="not enough free memory"):
            await world.resumes.resume(world.user, box.id)
    await world.settle()

    assert world.store.state(box.id) is (State.RUNNING if freed_mib else State.PAUSED)
    await world.close()
