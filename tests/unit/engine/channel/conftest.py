"""A fake guest and a channel to it; the real agent of images/agent on a socket of this machine."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from createos_engine.drivers.channel.agent import AgentClient
from createos_engine.drivers.channel.mux import Channel

from tests.fakes.guest import FakeGuest

TOP = Path(__file__).parents[4]
GO = shutil.which("go") or shutil.which("go", path=str(Path(sys.executable).parent))


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
    connected = await Channel.connect(guest.path, deadline_s=60, on_lost=lost.append)
    yield connected
    await connected.close()
    assert guest.complaints == []


@pytest.fixture
async def agent(guest: FakeGuest, lost: list[str]) -> AsyncIterator[AgentClient]:
    connected = await AgentClient.connect(guest.path, deadline_s=60, on_lost=lost.append)
    yield connected
    await connected.close()
    assert guest.complaints == []


@pytest.fixture(scope="session")
def agent_binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if GO is None:
        pytest.skip("no Go toolchain")
    if os.geteuid() != 0:
        pytest.skip("the agent runs programs as the user it is asked for")
    binary = tmp_path_factory.mktemp("agent") / "agent"
    subprocess.run([str(GO), "build", "-o", str(binary), "."], cwd=TOP / "images/agent", check=True, timeout=600)
    return binary


@pytest.fixture
async def real(agent_binary: Path, tmp_path: Path) -> AsyncIterator[AgentClient]:
    process = await asyncio.create_subprocess_exec(agent_binary, "--serve-socket", tmp_path / "s")
    try:
        client = await AgentClient.connect(tmp_path / "s", deadline_s=60)
        yield client
        await client.close()
    finally:
        process.terminate()
        await process.wait()
