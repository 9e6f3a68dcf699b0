"""A sandbox that idleness paused is resumed once for all who wait for it, and a resume that fails is told at once."""

from __future__ import annotations

import asyncio

import pytest
from createos_engine.errors import Conflict, TimedOut, Unavailable
from createos_engine.services.wakes import Wakes
from createos_engine.store.sandboxes import StateChange
from createos_engine.words import Sandbox, State

from tests.unit.engine.services.conftest import World


async def _paused(world: World, *, auto: bool = True) -> Sandbox:
    box = await world.running()
    await world.store.move(box.id, State.PAUSING, StateChange(auto_paused=auto))
    return await world.store.move(box.id, State.PAUSED)


def _wakes(world: World, ends: State, reason: str = "", deadline_s: float = 5) -> tuple[Wakes, list[str]]:
    resumed: list[str] = []

    async def resume(sandbox: Sandbox) -> Sandbox:
        resumed.append(sandbox.id)
        row = await world.store.move(sandbox.id, State.RESUMING)
        if ends is State.RESUMING:
            return row
        return await world.store.move(sandbox.id, ends, StateChange(reason=reason))

    return Wakes(world.store, resume, deadline_s=deadline_s), resumed


async def test_many_callers_wait_for_one_resume(world: World) -> None:
    box = await _paused(world)
    wakes, resumed = _wakes(world, State.RUNNING)

    await asyncio.gather(*(wakes.wake(world.user, box.name) for _ in range(3)))

    assert world.store.state(box.id) is State.RUNNING
    assert len(set(resumed)) == 1


async def test_what_its_owner_paused_is_left_alone(world: World) -> None:
    box = await _paused(world, auto=False)
    wakes, resumed = _wakes(world, State.RUNNING)

    await wakes.wake(world.user, box.id)

    assert resumed == []


async def test_a_resume_that_fails_is_told_with_its_reason(world: World) -> None:
    box = await _paused(world)
    wakes, _ = _wakes(world, State.ERROR, "resume failed: the image is damaged")

    with pytest.raises(Conflict, match="^sandbox is error$") as failed:
        await wakes.wake(world.user, box.id)

    assert failed.value.hint == "it was to be resumed for this: resume failed: the image is damaged"


async def test_a_resume_that_cannot_begin_is_told_at_once(world: World) -> None:
    box = await _paused(world)

    async def refuse(sandbox: Sandbox) -> Sandbox:
        raise Unavailable("not enough free memory")

    with pytest.raises(Unavailable, match="not enough free memory"):
        await Wakes(world.store, refuse, deadline_s=60).wake(world.user, box.id)


async def test_the_wait_has_an_end(world: World) -> None:
    box = await _paused(world)
    wakes, _ = _wakes(world, State.RESUMING, deadline_s=0.1)

    with pytest.raises(TimedOut, match="did not resume within 0.1 s"):
        await wakes.wake(world.user, box.id)
