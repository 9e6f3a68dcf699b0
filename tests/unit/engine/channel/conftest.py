"""A fake guest and a channel to it. The daemon runs uvloop; what touches the transport is tested under asyncio too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import uvloop
from createos_engine.drivers.channel.agent import AgentClient
from createos_engine.drivers.channel.mux import Channel

from tests.fakes.guest import FakeGuest


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"uvloop": uvloop.new_event_loop}
    if item.path.name in {"test_handshake.py", "test_flow_control.py", "test_hostile_guest.py"}:
        loops["asyncio"] = asyncio.new_event_loop
    return loops


@pytest.fixture
async def guest(tmp_path: Path) -> AsyncIterator[FakeGuest]:
    async with FakeGuest(tmp_path / "channel") as listening:
        yield listening


@pytest.fixture
def lost() -> list[str]:
    """The reasons that `on_lost` was called with."""
    return []


@pytest.fixture
async def channel(guest: FakeGuest, lost: list[str]) -> AsyncIterator[Channel]:
    connected = await Channel.connect(guest.path, deadline_s=5, on_lost=lost.append)
    yield connected
    await connected.close()
    assert guest.complaints == []


@pytest.fixture
async def agent(guest: FakeGuest, lost: list[str]) -> AsyncIterator[AgentClient]:
    connected = await AgentClient.connect(guest.path, deadline_s=5, on_lost=lost.append)
    yield connected
    await connected.close()
    assert guest.complaints == []
