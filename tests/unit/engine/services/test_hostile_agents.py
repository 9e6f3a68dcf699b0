"""An agent that is somebody else's: its sandbox becomes an error that says what it did, others are served on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest
from createos_engine.errors import GuestFailed
from createos_engine.paths import Paths
from createos_engine.services.agents import Agents
from createos_engine.services.losses import Losses
from createos_engine.words import Sandbox, State

from tests.fakes.guest import DATA, EXIT, FakeGuest, Link, frame
from tests.fakes.hypervisor import FakeHypervisor
from tests.unit.engine.services.conftest import World

HOSTILE, NEIGHBOUR = "hostile", "neighbour"
STREAMS = 100_000


class Lab:
    """Two sandboxes whose agents are fakes, and the services that watch over them."""

    def __init__(self, world: World, home: Path) -> None:
        self.world = world
        self._paths = Paths(home, home)
        self.agents = Agents(self._paths)
        self._hypervisor = FakeHypervisor()
        self.guests: dict[str, FakeGuest] = {}
        losses = Losses(
            world.store,
            self._hypervisor,
            cast("Any", world.machines),
            self.agents,
            world.locks,
            world.background,
            self._paths,
            grace_s=0.0,
            reconnect_s=1.0,
        )
        self.agents.on_lost(losses.agent_lost)
        world.machines.adopt = self._adopt  # type: ignore[method-assign]

    async def sandbox(self, name: str) -> Sandbox:
        """Make a running sandbox whose agent has answered."""
        row = await self.world.running(name)
        self._hypervisor.machines[self.world.machines.name(row.id)] = row.id
        channel = self._paths.sandbox(row.id).channel
        channel.parent.mkdir(parents=True, exist_ok=True)
        self.guests[name] = FakeGuest(channel)
        await self.guests[name].start()
        await self._adopt(row, deadline_s=60)
        return row

    async def error(self, row: Sandbox) -> str:
        """Wait for the state `error` and return its reason; ask the neighbour all the while."""
        neighbour = self.world.store.find(self.world.user.id, NEIGHBOUR)
        async with asyncio.timeout(40):
            while self.world.store.state(row.id) is not State.ERROR:
                await self.agents.get(neighbour.id).ping()
        return self.world.store.get(row.id).reason

    async def close(self) -> None:
        await self.agents.close()
        for guest in self.guests.values():
            await guest.stop()

    async def _adopt(self, sandbox: Sandbox, *, deadline_s: float) -> None:
        await self.agents.connect(sandbox.id, deadline_s=deadline_s)


@pytest.fixture
async def lab(world: World, tmp_path: Path) -> AsyncIterator[Lab]:
    lab = Lab(world, tmp_path)
    await lab.sandbox(NEIGHBOUR)
    yield lab
    await lab.close()


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"garbage " * 10_000, "a frame begins with"),
        (frame(DATA, 1, bytes(65_525), 1), "DATA says it has 65525 bytes"),
        (frame(EXIT, 1, b"{}") * 2, "a frame EXIT came for stream 1"),
        (b"".join(frame(EXIT, number, b"{}") for number in range(1, STREAMS)), "which was never opened"),
    ],
    ids=["garbage", "a lie about a length", "two answers", "100,000 streams"],
)
async def test_what_breaks_the_protocol_whenever_it_is_spoken_to_ends_its_sandbox_and_no_other(
    lab: Lab, said: bytes, reason: str
) -> None:
    row = await lab.sandbox(HOSTILE)

    async def attack(link: Link) -> None:
        link.writer.write(said)

    lab.guests[HOSTILE].after_ready = attack
    await attack(lab.guests[HOSTILE].links[0])

    told = await lab.error(row)

    assert told.startswith("its agent was lost ")
    assert "the guest broke the protocol" in told
    assert reason in told


async def test_an_agent_that_is_lost_together_with_its_greeting_is_not_connected(lab: Lab) -> None:
    row = await lab.sandbox(HOSTILE)

    async def attack(link: Link) -> None:
        link.writer.write(b"garbage garbage")

    lab.guests[HOSTILE].after_ready = attack

    for _ in range(20):
        with suppress(GuestFailed):
            await lab.agents.connect(row.id, deadline_s=60)
        await lab.guests[HOSTILE].until(lambda: not lab.agents.connected(row.id))


async def test_an_agent_that_never_answers_again_ends_its_sandbox_and_no_other(lab: Lab) -> None:
    row = await lab.sandbox(HOSTILE)
    guest = lab.guests[HOSTILE]
    guest.deaf_resets = 10_000
    guest.links[0].writer.close()

    told = await lab.error(row)

    assert "its agent was lost (the machine closed the channel) and did not come back" in told
