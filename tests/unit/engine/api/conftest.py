"""An app over fakes, spoken to without a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from createos_engine.api.app import create_app

from tests.fakes.services import KEY, FakeWorld


@pytest.fixture
def world() -> FakeWorld:
    return FakeWorld()


@pytest.fixture
async def client(world: FakeWorld) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a good key."""
    transport = httpx.ASGITransport(create_app(world.services))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers={"X-Api-Key": KEY}) as it:
        yield it
