"""Which sandboxes are paused for being idle."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from createos_engine.errors import Unavailable
from createos_engine.services import idle as module
from createos_engine.services.idle import Idle
from createos_engine.words import Sandbox, State

from tests.fakes.rows import sandbox


@dataclass
class World:
    """A store, uses, pauses and locks in one."""

    rows: list[Sandbox]
    idle: float = float("inf")
    held: frozenset[str] = frozenset()
    refuse: bool = False
    paused: list[str] = field(default_factory=list)

    def in_states(self, states: object) -> list[Sandbox]:
        return [row for row in self.rows if row.state is State.RUNNING]

    def idle_s(self, sandbox_id: str) -> float:
        return self.idle

    def busy(self) -> frozenset[str]:
        return self.held

    async def begin(self, row: Sandbox, *, auto: bool) -> Sandbox:
        if self.refuse:
            raise Unavailable("no space")
        assert auto
        self.paused.append(row.id)
        return row


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    return now


def idle(world: World) -> Idle:
    return Idle(world, world, world, world)  # type: ignore[arg-type]


def running(**more: object) -> Sandbox:
    return sandbox(state=State.RUNNING, auto_pause_after_seconds=60, **more)


async def test_a_sandbox_nobody_used_is_paused_once_its_time_has_passed(clock: list[float]) -> None:
    world = World([running()])
    job = idle(world)

    await job.pause_idle()
    clock[0] += 59
    await job.pause_idle()
    assert world.paused == []
    clock[0] += 1
    await job.pause_idle()

    assert world.paused == [world.rows[0].id]


async def test_use_starts_the_time_again(clock: list[float]) -> None:
    world = World([running()], idle=10)
    job = idle(world)

    await job.pause_idle()
    clock[0] += 1000
    await job.pause_idle()
    assert world.paused == []
    world.idle = 60
    await job.pause_idle()

    assert len(world.paused) == 1


@pytest.mark.parametrize(
    "row", [sandbox(state=State.RUNNING), sandbox(state=State.PAUSED, auto_pause_after_seconds=60)]
)
async def test_one_that_did_not_ask_or_does_not_run_is_left_alone(clock: list[float], row: Sandbox) -> None:
    world = World([row])
    job = idle(world)

    await job.pause_idle()
    clock[0] += 10_000
    await job.pause_idle()

    assert world.paused == []


async def test_one_that_is_being_changed_waits_and_a_refusal_is_tried_again(clock: list[float]) -> None:
    world = World([running()])
    world.held = frozenset({world.rows[0].id})
    job = idle(world)
    await job.pause_idle()
    clock[0] += 100
    await job.pause_idle()
    world.held, world.refuse = frozenset(), True
    await job.pause_idle()
    assert world.paused == []
    world.refuse = False
    await job.pause_idle()

    assert len(world.paused) == 1


async def test_a_resumed_sandbox_has_all_its_time_again(clock: list[float]) -> None:
    world = World([running()])
    job = idle(world)
    await job.pause_idle()
    world.rows = []
    clock[0] += 100
    await job.pause_idle()
    world.rows = [running()]
    await job.pause_idle()

    assert world.paused == []
