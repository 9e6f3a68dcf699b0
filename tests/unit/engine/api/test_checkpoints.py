"""Checkpoints over the API."""

from __future__ import annotations

import httpx
import pytest
from createos_engine.words import State

from tests.fakes.rows import sandbox
from tests.fakes.services import FakeWorld


@pytest.fixture
def box(world: FakeWorld) -> str:
    return world.sandboxes.add(sandbox(state=State.RUNNING)).id


async def test_from_a_name_to_a_fork_and_to_its_end(client: httpx.AsyncClient, box: str) -> None:
    made = (await client.post(f"/v1/sandboxes/{box}/checkpoints", json={"name": "before"})).json()["data"]
    listed = (await client.get("/v1/checkpoints")).json()["data"]
    forked = await client.post("/v1/checkpoints/before/fork", json={})
    gone = await client.delete(f"/v1/checkpoints/{made['id']}")
    after = await client.get("/v1/checkpoints/before")

    assert (made["name"], made["sandbox_id"], "parent" in made) == ("before", box, False)
    assert (listed["data"], listed["pagination"]["total"]) == ([made], 1)
    assert (forked.status_code, forked.json()["data"]["forked_from"]) == (202, box)
    assert forked.headers["x-poll-after"]
    assert (gone.status_code, after.status_code, after.json()["data"]) == (200, 404, "checkpoint not found")


async def test_a_body_is_not_needed(client: httpx.AsyncClient, box: str) -> None:
    answer = await client.post(f"/v1/sandboxes/{box}/checkpoints")

    assert (answer.status_code, answer.json()["data"]["name"]) == (200, "made-up")


@pytest.mark.parametrize("name", ["Big", "-x", "a" * 64, "cp-1", "a b"])
async def test_a_name_that_could_not_be_typed_is_refused(client: httpx.AsyncClient, box: str, name: str) -> None:
    answer = await client.post(f"/v1/sandboxes/{box}/checkpoints", json={"name": name})

    assert (answer.status_code, "1 to 63 characters" in answer.json()["data"]["name"]) == (400, True)
