"""The life of sandboxes over a real store: intent first, and nothing left of what failed."""

from __future__ import annotations

import asyncio

import pytest
from createos_engine.errors import Conflict, GuestFailed, Invalid, Unavailable
from createos_engine.services import sandboxes as module
from createos_engine.services.admission import QEMU_OVERHEAD_MIB
from createos_engine.services.starts import Starts
from createos_engine.words import NewSandbox, Sandbox, State

from tests.unit.engine.services.conftest import World


def wish(name: str = "demo-box") -> NewSandbox:
    return NewSandbox(shape="s-1vcpu-256mb", name=name)


async def until(world: World, sandbox_id: str, state: State) -> None:
    async with asyncio.timeout(60):
        while world.store.state(sandbox_id) is not state:
            await asyncio.sleep(0.001)


async def test_a_create_answers_with_a_running_sandbox(world: World) -> None:
    row = await world.running()

    assert row.state is State.RUNNING
    assert row.ip == "10.77.0.2"
    assert row.spawn_ms is not None
    assert row.running_at is not None


async def test_the_row_is_there_before_anything_on_the_host(world: World) -> None:
    world.machines.go.clear()
    create = asyncio.ensure_future(world.running())

    await until(world, "sb-1", State.CREATING)

    world.machines.go.set()
    assert (await create).id == "sb-1"


async def test_a_boot_that_fails_is_an_error_and_a_failed_row_with_its_reason(world: World) -> None:
    world.machines.refuse = "the agent did not answer"

    with pytest.raises(GuestFailed, match="the agent did not answer"):
        await world.running()

    row = world.store.get("sb-1")
    assert (row.state, row.reason) == (State.FAILED, "the agent did not answer")
    assert world.machines.hosts == set()


async def test_of_two_creates_of_one_name_one_is_refused(world: World) -> None:
    outcomes = await asyncio.gather(world.running(), world.running(), return_exceptions=True)

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Invalid", "Sandbox"]
    assert next(o for o in outcomes if isinstance(o, Invalid)).field == "name"


async def test_a_caller_that_goes_away_does_not_stop_the_create(world: World) -> None:
    world.machines.go.clear()
    create = asyncio.ensure_future(world.running())
    await until(world, "sb-1", State.CREATING)

    create.cancel()
    await asyncio.gather(create, return_exceptions=True)
    world.machines.go.set()

    await until(world, "sb-1", State.RUNNING)


async def test_a_delete_during_a_create_ends_both(world: World) -> None:
    world.machines.go.clear()
    create = asyncio.ensure_future(world.running())
    await until(world, "sb-1", State.CREATING)

    answer = await world.sandboxes.delete(world.user, "demo-box")

    with pytest.raises(Conflict, match="sandbox is destroy"):
        await create
    assert answer.state is State.DESTROYING
    await until(world, "sb-1", State.DESTROYED)
    assert world.machines.hosts == set()


async def test_a_delete_can_be_repeated(world: World) -> None:
    row = await world.running()

    first = await world.sandboxes.delete(world.user, row.id)
    await until(world, row.id, State.DESTROYED)
    second = await world.sandboxes.delete(world.user, row.id)

    assert (first.state, second.state) == (State.DESTROYING, State.DESTROYED)


async def test_a_destroy_that_the_host_refuses_stays_to_be_repeated(world: World) -> None:
    row = await world.running()
    world.machines.refuse = "libvirt is away"

    await world.sandboxes.delete(world.user, row.id)
    await world.background.drain("destroy", 5)
    assert world.store.state(row.id) is State.DESTROYING

    world.machines.refuse = ""
    await world.sandboxes.tear_down(world.store.get(row.id))
    assert world.store.state(row.id) is State.DESTROYED


async def test_only_so_many_machines_boot_at_once(world: World) -> None:
    world.machines.go.clear()
    creates = [asyncio.ensure_future(world.running(f"box-{n}")) for n in range(6)]
    async with asyncio.timeout(60):
        while len(world.store.in_states({State.CREATING})) < 6 or not world.machines.booting:
            await asyncio.sleep(0.001)
    world.machines.go.set()

    await asyncio.gather(*creates)

    assert world.machines.most_at_once == 2


async def test_creates_at_once_do_not_share_the_same_free_memory(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is room for two machines of 256 MiB and what QEMU takes for one of them."""
    monkeypatch.setattr(module, "available_memory_mib", lambda: 2 * 256 + QEMU_OVERHEAD_MIB)
    world.machines.go.clear()
    creates = [asyncio.ensure_future(world.running(f"box-{n}")) for n in range(5)]

    async with asyncio.timeout(60):
        while sum(create.done() for create in creates) < 3:
            await asyncio.sleep(0.001)
    world.machines.go.set()
    outcomes = await asyncio.gather(*creates, return_exceptions=True)

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Sandbox"] * 2 + ["Unavailable"] * 3


async def test_while_the_daemon_starts_a_create_is_told_to_come_again(world: World) -> None:
    world.progress.held_up("there is no guest kernel")

    with pytest.raises(Unavailable, match="there is no guest kernel"):
        await world.running()

    assert world.store.in_states(set(State)) == []


async def test_a_machine_that_stands_by_makes_room_for_a_create(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    free = [0]

    async def make_room(_: object) -> bool:
        free[0] = 256 + QEMU_OVERHEAD_MIB
        return True

    monkeypatch.setattr(module, "available_memory_mib", lambda: free[0])
    monkeypatch.setattr(Starts, "make_room", make_room)

    assert (await world.running()).state is State.RUNNING


@pytest.mark.parametrize("end", ["its networks", "its start", "a delete"])
async def test_a_create_that_comes_to_nothing_gives_up_the_machine_it_has_claimed(
    world: World, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    given_up: list[str] = []

    async def abandon(_: object, row: Sandbox) -> None:
        given_up.append(row.id)

    async def refuse(*_: object) -> None:
        raise Conflict("the network is gone")

    monkeypatch.setattr(Starts, "abandon", abandon)
    if end == "its networks":
        monkeypatch.setattr(type(world.networks), "join", refuse)
    elif end == "its start":
        world.machines.refuse = "the kernel is broken"
    else:
        world.machines.go.clear()
    creating = asyncio.ensure_future(world.sandboxes.create(world.user, wish()))
    if end == "a delete":
        async with asyncio.timeout(60):
            while not world.machines.booting:
                await asyncio.sleep(0.001)
        await world.sandboxes.delete(world.user, "demo-box")
    await asyncio.gather(creating, return_exceptions=True)
    await world.background.drain("destroy", 10)

    (row,) = world.store.in_states(State)
    assert set(given_up) == {row.id}
