"""An app over fakes, spoken to without a socket. The app is made once: its routes take longer than any test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from createos_engine.api.app import create_app
from createos_engine.api.server import ApiServer
from fastapi import FastAPI
from structlog.testing import capture_logs
from structlog.typing import EventDict

from tests.fakes.services import KEY, FakeWorld
from tests.fakes.taker import Connect, Taker, raw_app


@pytest.fixture(scope="session")
def app() -> FastAPI:
    return create_app(FakeWorld().services, allowed_hosts=("Box.Example",))


@pytest.fixture(autouse=True)
def world(app: FastAPI) -> FakeWorld:
    """A new world behind the app for each test."""
    world = FakeWorld()
    app.state.services = world.services
    return world


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[EventDict]]:
    """What was logged."""
    with capture_logs() as entries:
        yield entries


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a good key."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers={"X-Api-Key": KEY}) as it:
        yield it


@pytest.fixture
def taker() -> Taker:
    return Taker()


@pytest.fixture
async def raw_server(taker: Taker, tmp_path: Path) -> AsyncIterator[ApiServer]:
    """A server whose routes take connections over."""
    path = tmp_path / "raw.sock"
    running = ApiServer(raw_app(taker), unix_socket=path, socket_group="", host="127.0.0.1", port=0)
    await running.start()
    yield running
    await running.stop(0)


@pytest.fixture(params=["unix", "tcp"])
def connect(request: pytest.FixtureRequest, raw_server: ApiServer, tmp_path: Path) -> Connect:
    """Open a connection to one of the doors."""
    if request.param == "unix":
        return lambda: asyncio.open_unix_connection(str(tmp_path / "raw.sock"))
    return lambda: asyncio.open_connection("127.0.0.1", int(raw_server.url.rpartition(":")[2]))
