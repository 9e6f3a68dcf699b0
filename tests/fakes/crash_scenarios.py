"""What is done while the engine, or QEMU, dies: each with what is there beforehand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from createos_engine.services.layers import DEEPEST_CHAIN
from createos_engine.words import NewFork, NewSandbox, Sandbox

from tests.fakes.crash_world import CrashWorld

Prepare = Callable[[CrashWorld], Awaitable[Sandbox | None]]
Operate = Callable[[CrashWorld, Sandbox | None], Awaitable[None]]


async def _nothing(world: CrashWorld) -> None:
    return


async def _running(world: CrashWorld) -> Sandbox:
    return await world.box()


async def _paused(world: CrashWorld) -> Sandbox:
    box = await world.box()
    await world.pause(box)
    return box


async def _forked_source(world: CrashWorld) -> Sandbox:
    """A paused sandbox on whose frozen disk a paused fork stands."""
    box = await _paused(world)
    await world.forks.fork(world.user, box.id, NewFork(start_paused=True))
    await world.settle()
    return box


async def _paused_fork(world: CrashWorld) -> Sandbox:
    box = await _forked_source(world)
    return next(row for row in world.rows() if row.forked_from == box.id)


async def _long_chain(world: CrashWorld) -> Sandbox:
    """A running sandbox whose disk stands on as many others as may be."""
    box = await _paused(world)
    for _ in range(DEEPEST_CHAIN):
        await world.resume(box)
        await world.pause(box)
    await world.resume(box)
    return box


async def _create(world: CrashWorld, box: Sandbox | None) -> None:
    await world.sandboxes.create(world.user, NewSandbox(shape="s-1vcpu-256mb", name="demo-box"))


async def _pause(world: CrashWorld, box: Sandbox | None) -> None:
    assert box
    await world.pause(box)


async def _resume(world: CrashWorld, box: Sandbox | None) -> None:
    assert box
    await world.resume(box)


async def _resume_cold(world: CrashWorld, box: Sandbox | None) -> None:
    assert box
    await world.resume(box, cold=True)


async def _fork(world: CrashWorld, box: Sandbox | None) -> None:
    assert box
    await world.forks.fork(world.user, box.id, NewFork())
    await world.settle()


async def _fork_paused(world: CrashWorld, box: Sandbox | None) -> None:
    assert box
    await world.forks.fork(world.user, box.id, NewFork(start_paused=True))
    await world.settle()


async def _destroy(world: CrashWorld, box: Sandbox | None) -> None:
    assert box
    await world.sandboxes.delete(world.user, box.id)
    await world.settle()


async def _with_checkpoint(world: CrashWorld) -> Sandbox:
    """A running sandbox that went on after a checkpoint."""
    box = await world.box()
    await _checkpoint(world, box)
    return box


async def _checkpoint(world: CrashWorld, box: Sandbox | None) -> None:
    assert box
    await world.checkpoints.create(world.user, box.id, "before")
    await world.settle()


async def _fork_checkpoint(world: CrashWorld, box: Sandbox | None) -> None:
    await world.checkpoints.fork(world.user, "before", NewFork())
    await world.settle()


async def _delete_checkpoint(world: CrashWorld, box: Sandbox | None) -> None:
    await world.checkpoints.delete(world.user, "before")


SCENARIOS: dict[str, tuple[Prepare, Operate]] = {
    "create": (_nothing, _create),
    "pause": (_running, _pause),
    "pause with a long chain": (_long_chain, _pause),
    "resume": (_paused, _resume),
    "resume of a source": (_forked_source, _resume),
    "resume of a fork": (_paused_fork, _resume),
    "resume cold": (_paused, _resume_cold),
    "fork": (_paused, _fork),
    "fork again": (_forked_source, _fork),
    "fork to paused": (_paused, _fork_paused),
    "checkpoint": (_running, _checkpoint),
    "fork of a checkpoint": (_with_checkpoint, _fork_checkpoint),
    "delete of a checkpoint": (_with_checkpoint, _delete_checkpoint),
    "destroy of a running one": (_running, _destroy),
    "destroy of a paused one": (_paused, _destroy),
    "destroy of a source": (_forked_source, _destroy),
}
