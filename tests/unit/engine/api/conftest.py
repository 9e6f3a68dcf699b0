"""An app over fakes, spoken to without a socket. The app is made once: its routes take longer than any test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from createos_engine.api.app import create_app
from fastapi import FastAPI
from structlog.testing import capture_logs
from structlog.typing import EventDict

from tests.fakes.services import KEY, FakeWorld


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
