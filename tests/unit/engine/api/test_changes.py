"""PATCH and resize: what a sandbox can become (wire-api 5.4)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from createos_engine.lifecycle import TERMINAL
from createos_engine.words import State

from tests.fakes.rows import sandbox
from tests.fakes.services import FakeWorld

BOX = "/v1/sandboxes/demo-box"
ENDED = {*TERMINAL, State.DESTROYING}


async def test_what_is_left_out_stays_and_what_is_unknown_is_ignored(
    client: httpx.AsyncClient, world: FakeWorld
) -> None:
    world.sandboxes.add(sandbox(state=State.RUNNING, ingress_enabled=True, auto_pause_after_seconds=600))

    answer = await client.patch(BOX, json={"name": "other", "mode": 1})

    data = answer.json()["data"]
    assert (data["name"], data["ingress_enabled"], data["auto_pause_after_seconds"]) == ("demo-box", True, 600)


@pytest.mark.parametrize(
    ("body", "after"),
    [
        ({"ingress_enabled": True}, (True, 600)),
        ({"ingress_enabled": None, "auto_pause_after_seconds": 60}, (False, 60)),
        ({"auto_pause_after_seconds": 86_400, "disable_auto_pause": False}, (False, 86_400)),
        ({"disable_auto_pause": True}, (False, None)),
        ({"disable_auto_pause": True, "ingress_enabled": True}, (True, None)),
    ],
)
async def test_what_is_given_is_changed(
    client: httpx.AsyncClient, world: FakeWorld, body: dict[str, Any], after: tuple[bool, int | None]
) -> None:
    world.sandboxes.add(sandbox(state=State.RUNNING, auto_pause_after_seconds=600))

    data = (await client.patch(BOX, json=body)).json()["data"]

    assert (data["ingress_enabled"], data.get("auto_pause_after_seconds")) == after


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        ({"ingress_enabled": "yes"}, "ingress_enabled", "must be true or false"),
        ({"auto_pause_after_seconds": 59}, "auto_pause_after_seconds", "must be at least 60"),
        ({"auto_pause_after_seconds": 86_401}, "auto_pause_after_seconds", "must be at most 86400"),
        ({"auto_pause_after_seconds": "600"}, "auto_pause_after_seconds", "must be a whole number"),
        ({"auto_pause_after_seconds": 600.5}, "auto_pause_after_seconds", "must be a whole number"),
        ({"auto_pause_after_seconds": True}, "auto_pause_after_seconds", "must be a whole number"),
        ({"disable_auto_pause": 1}, "disable_auto_pause", "must be true or false"),
        ({"disable_auto_pause": True, "auto_pause_after_seconds": 60}, "disable_auto_pause", "contradict"),
        ([], "body", "must be a JSON object"),
    ],
)
async def test_wrong_types_and_contradictions_change_nothing(
    client: httpx.AsyncClient, world: FakeWorld, body: Any, field: str, said: str
) -> None:
    before = world.sandboxes.add(sandbox(state=State.RUNNING))

    answer = await client.patch(BOX, json=body)

    assert answer.status_code == 400
    assert said in answer.json()["data"][field]
    assert world.sandboxes.rows[before.id] == before


@pytest.mark.parametrize("state", list(State))
async def test_every_sandbox_that_has_not_ended_can_be_changed(
    client: httpx.AsyncClient, world: FakeWorld, state: State
) -> None:
    world.sandboxes.add(sandbox(state=state))

    answer = await client.patch(BOX, json={"disable_auto_pause": True})

    assert answer.status_code == (409 if state in ENDED else 200)
    if state in ENDED:
        assert answer.json()["data"] == f"sandbox is {state}"


async def test_a_disk_grows(client: httpx.AsyncClient, world: FakeWorld) -> None:
    row = world.sandboxes.add(sandbox(state=State.RUNNING, disk_mib=1024))

    answer = await client.post(f"{BOX}/resize", json={"disk_mib": 1025})

    assert answer.json()["data"] == {"id": row.id, "disk_mib": 1025}


@pytest.mark.parametrize("body", [{"disk_mib": 1024}, {"disk_mib": 1}, {"disk_mib": 0}, {"disk_mib": "2048"}, {}])
async def test_a_disk_does_not_shrink_or_stay(
    client: httpx.AsyncClient, world: FakeWorld, body: dict[str, object]
) -> None:
    world.sandboxes.add(sandbox(state=State.RUNNING, disk_mib=1024))

    answer = await client.post(f"{BOX}/resize", json=body)

    assert (answer.status_code, list(answer.json()["data"])) == (400, ["disk_mib"])


async def test_only_a_running_sandbox_can_be_resized(client: httpx.AsyncClient, world: FakeWorld) -> None:
    world.sandboxes.add(sandbox(state=State.PAUSED, disk_mib=1024))

    answer = await client.post(f"{BOX}/resize", json={"disk_mib": 2048})

    assert (answer.status_code, answer.json()["data"]) == (409, "sandbox is paused")


@pytest.mark.parametrize(("method", "path"), [("PATCH", "/v1/sandboxes/nobody"), ("POST", "/v1/sandboxes/no/resize")])
async def test_a_sandbox_that_is_not_there_is_not_found(client: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await client.request(method, path, json={"disk_mib": 2048})

    assert (answer.status_code, answer.json()["data"]) == (404, "sandbox not found")
