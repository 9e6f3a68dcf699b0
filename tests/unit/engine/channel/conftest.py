"""A fake guest and a channel to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from createos_engine.drivers.channel.agent import AgentClient
from createos_engine.drivers.channel.mux import Channel

from tests.fakes.guest import FakeGuest


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
