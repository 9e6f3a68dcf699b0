"""Whoever asks for it finds a sandbox running that was paused for being idle; nobody else does."""

from __future__ import annotations

import httpx
import pytest
from createos_engine.words import State

from tests.fakes.rows import sandbox
from tests.fakes.services import FakeWorld


def paused(world: FakeWorld, *, auto: bool) -> str:
    row = sandbox(state=State.PAUSED, auto_paused=auto, has_memory=True)
    return f"/v1/sandboxes/{world.sandboxes.add(row).id}"


@pytest.mark.parametrize(("query", "headers"), [("", {}), ("?auto_resume=false", {}), ("", {"X-Auto-Resume": "false"})])
async def test_by_default_the_answer_is_409_as_the_contract_says(
    client: httpx.AsyncClient, world: FakeWorld, query: str, headers: dict[str, str]
) -> None:
    path = paused(world, auto=True)

    answer = await client.post(f"{path}/exec{query}", json={"cmd": "true"}, headers=headers)

    assert answer.status_code == 409


@pytest.mark.parametrize(("query", "headers"), [("?auto_resume=true", {}), ("", {"X-Auto-Resume": "true"})])
async def test_a_program_a_file_and_a_process_find_it_running(
    client: httpx.AsyncClient, world: FakeWorld, query: str, headers: dict[str, str]
) -> None:
    for method, work, body in (("POST", "exec", {"cmd": "echo"}), ("GET", "processes", None)):
        path = paused(world, auto=True)

        answer = await client.request(method, f"{path}/{work}{query}", json=body, headers=headers)

        assert answer.status_code == 200, answer.text


async def test_what_its_owner_paused_stays_paused(client: httpx.AsyncClient, world: FakeWorld) -> None:
    path = paused(world, auto=False)

    answer = await client.post(f"{path}/exec?auto_resume=true", json={"cmd": "true"})

    assert answer.status_code == 409
