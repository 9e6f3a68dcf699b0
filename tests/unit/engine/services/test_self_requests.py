"""What sandboxes ask for themselves: judged, answered first, done once, and never more than one at a time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from createos_engine.drivers.channel.errors import ChannelLost
from createos_engine.drivers.channel.stream import Data
from createos_engine.services import self_requests
from createos_engine.services.self_requests import SelfRequests
from createos_engine.words import Sandbox, State

from tests.unit.engine.services.conftest import World


@dataclass
class _Agent:
    """An agent that says what a test puts into its queue; None ends the channel."""

    capabilities: tuple[str, ...] = ("events",)
    said: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    listened: int = 0
    closed: bool = False

    @property
    def ready(self) -> _Agent:
        return self

    async def open(self, kind: str) -> _Agent:
        self.listened += 1
        return self

    def send_control(self, message: dict[str, Any]) -> None:
        self.verdicts.append(message["verdict"])

    def cancel(self) -> None:
        self.closed = True

    def __aiter__(self) -> _Agent:
        return self

    async def __anext__(self) -> Data:
        data = await self.said.get()
        if data is None:
            raise ChannelLost("gone")
        return Data(1, data)

    def says(self, **event: object) -> None:
        self.said.put_nowait(json.dumps(event).encode() + b"\n")


@dataclass
class _Pauses:
    """Remembers which sandboxes were to be paused."""

    begun: list[str]

    async def begin(self, sandbox: Sandbox) -> None:
        self.begun.append(sandbox.id)


@dataclass
class Listening:
    agent: _Agent
    box: Sandbox
    paused: list[str]
    world: World

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                await asyncio.sleep(0.001)

    def asks(self, number: int, action: str, reason: str = "") -> None:
        self.agent.says(id=number, action=action, reason=reason)


@pytest.fixture
async def listening(world: World, monkeypatch: pytest.MonkeyPatch) -> Listening:
    monkeypatch.setattr(self_requests, "PACE_S", 0)
    monkeypatch.setattr(self_requests, "MOMENT_S", 0)
    paused: list[str] = []

    agent, box = _Agent(), await world.running()
    requests = SelfRequests(world.store, world.sandboxes, cast("Any", _Pauses(paused)), world.background)
    requests.connected(box.id, cast("Any", agent))
    return Listening(agent, box, paused, world)


async def test_a_sandbox_ends_itself_and_its_row_says_why(listening: Listening) -> None:
    listening.asks(1, "delete", "work is \x1b[31mdone")
    await listening.until(lambda: listening.agent.verdicts)
    assert listening.agent.verdicts == [{"id": 1, "accepted": True, "message": ""}]
    assert listening.world.store.state(listening.box.id) is State.RUNNING

    listening.agent.says(id=1, go=True)

    await listening.until(lambda: listening.world.store.state(listening.box.id) is State.DESTROYED)
    assert listening.world.store.get(listening.box.id).reason == "it asked for its own end: work is  [31mdone"


async def test_a_sandbox_pauses_itself(listening: Listening) -> None:
    listening.asks(7, "pause")
    listening.agent.says(id=7, go=True)

    await listening.until(lambda: listening.paused == [listening.box.id])


async def test_a_go_without_a_request_or_twice_does_nothing_more(listening: Listening) -> None:
    listening.agent.says(id=1, go=True)
    listening.asks(2, "pause")
    for _ in range(3):
        listening.agent.says(id=2, go=True)
    listening.asks(3, "pause")

    await listening.until(lambda: len(listening.agent.verdicts) == 2)
    assert listening.paused == [listening.box.id]


async def test_one_request_at_a_time(listening: Listening) -> None:
    listening.asks(1, "pause")
    listening.asks(2, "delete")

    await listening.until(lambda: len(listening.agent.verdicts) == 2)

    assert [verdict["accepted"] for verdict in listening.agent.verdicts] == [True, False]
    assert "another request" in listening.agent.verdicts[1]["message"]


async def test_a_request_nobody_confirms_is_forgotten(listening: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_requests, "GO_DEADLINE_S", -1)
    listening.asks(1, "delete")
    await listening.until(lambda: listening.agent.verdicts)

    listening.agent.says(id=1, go=True)
    listening.asks(2, "pause")

    await listening.until(lambda: len(listening.agent.verdicts) == 2)
    assert listening.world.store.state(listening.box.id) is State.RUNNING


async def test_in_the_wrong_state_it_is_refused(listening: Listening) -> None:
    await listening.world.store.move(listening.box.id, State.ERROR)

    listening.asks(1, "pause")

    await listening.until(lambda: listening.agent.verdicts)
    assert listening.agent.verdicts == [{"id": 1, "accepted": False, "message": "sandbox is error"}]


@pytest.mark.parametrize(
    "nonsense",
    [
        b"hello\n",
        b"[]\n",
        b'{"id": -1, "action": "pause"}\n',
        b'{"id": 1, "action": "explode"}\n',
        b"x" * 3000,
        b'{"id": 1, "action": "pause", "reason": "' + b"x" * 3000 + b'"}\n',
    ],
)
async def test_a_guest_that_says_nonsense_is_not_listened_to_any_more(listening: Listening, nonsense: bytes) -> None:
    listening.agent.said.put_nowait(nonsense)

    await listening.until(lambda: listening.agent.closed)

    assert listening.agent.verdicts == []
    assert not listening.world.background.failed.done()


async def test_an_agent_without_events_is_left_alone(world: World) -> None:
    agent = _Agent(capabilities=("exec",))

    requests = SelfRequests(world.store, world.sandboxes, cast("Any", None), world.background)
    requests.connected("sb-1", cast("Any", agent))

    assert agent.listened == 0


async def test_the_end_of_the_channel_ends_the_listening(listening: Listening) -> None:
    listening.agent.said.put_nowait(None)

    await listening.until(lambda: listening.agent.closed)

    assert not listening.world.background.failed.done()
