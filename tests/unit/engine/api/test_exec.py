"""Exec over the API: buffered answers, and programs that end with their client."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from createos_engine.errors import GuestFailed
from createos_engine.words import Ended, Output, State
from fastapi import FastAPI

from tests.fakes.rows import sandbox
from tests.fakes.services import KEY, FakeWorld


@pytest.fixture
def path(world: FakeWorld) -> str:
    return f"/v1/sandboxes/{world.sandboxes.add(sandbox(state=State.RUNNING, envs={'A': '1'})).id}/exec"


async def test_a_buffered_answer_has_both_outputs_and_no_error_when_there_is_none(
    client: httpx.AsyncClient, path: str
) -> None:
    answer = await client.post(path, json={"cmd": "echo", "args": ["hi"]})

    assert answer.json()["data"] == {"result": {"stdout": "hi\n", "stderr": "", "exit_code": 0}, "exec_ms": 12.345}


async def test_a_program_that_is_not_there_is_an_answer_not_a_failure(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.post(path, json={"cmd": "nonsense"})

    assert answer.status_code == 200
    assert answer.json()["data"]["result"] == {
        "stdout": "",
        "stderr": "",
        "exit_code": 127,
        "error": "nonsense: no such program",
    }


async def test_bytes_that_are_no_text_are_replaced(client: httpx.AsyncClient, world: FakeWorld, path: str) -> None:
    world.execs.script = [Output(1, b"a\xffb\xc3"), Ended(0)]

    answer = await client.post(path, json={"cmd": "x"})

    assert answer.json()["data"]["result"]["stdout"] == "a\ufffdb\ufffd"


async def test_input_and_environment_reach_the_program(client: httpx.AsyncClient, world: FakeWorld, path: str) -> None:
    await client.post(path, json={"cmd": "cat", "stdin": "é\0", "env": {"A": "2"}, "timeout_ms": 5, "args": None})

    (command,) = world.execs.commands
    assert (command.stdin, command.env, command.args) == ("é\0".encode(), {"A": "2"}, ())


@pytest.mark.parametrize("state", [state for state in State if state is not State.RUNNING])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_sandbox_in_another_state_says_which(
    client: httpx.AsyncClient, world: FakeWorld, state: State, stream: bool
) -> None:
    row = world.sandboxes.add(sandbox(state=state))

    answer = await client.post(f"/v1/sandboxes/{row.id}/exec", json={"cmd": "echo", "stream": stream})

    assert answer.status_code == 409
    assert f"sandbox is {state}" in answer.json()["data"]


@pytest.mark.parametrize(("query", "body"), [("?stream=true", {}), ("", {"stream": True})])
async def test_the_query_or_the_body_asks_for_a_stream(
    client: httpx.AsyncClient, path: str, query: str, body: dict[str, bool]
) -> None:
    answer = await client.post(path + query, json={"cmd": "echo", "args": ["hi"], **body})

    assert answer.headers["content-type"].startswith("application/x-ndjson")
    assert answer.text == '{"stdout":"hi\\n"}\n{"exit_code":0}\n'


async def test_a_failure_before_the_first_frame_is_an_ordinary_error(
    client: httpx.AsyncClient, world: FakeWorld, path: str
) -> None:
    world.execs.script = [GuestFailed("the agent does not answer")]

    answer = await client.post(path, json={"cmd": "x", "stream": True})

    assert (answer.status_code, answer.json()["message"]) == (500, "the agent does not answer")


async def test_a_bug_before_the_first_frame_is_an_internal_error(app: FastAPI, world: FakeWorld, path: str) -> None:
    world.execs.script = [ZeroDivisionError("secret")]
    transport = httpx.ASGITransport(app)

    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers={"X-Api-Key": KEY}) as it:
        answer = await it.post(path, json={"cmd": "x", "stream": True})

    assert (answer.status_code, "secret" in answer.text) == (500, False)


async def test_a_failure_after_it_is_a_frame_and_an_exit_code(
    client: httpx.AsyncClient, world: FakeWorld, path: str
) -> None:
    world.execs.script = [Output(1, b"x"), GuestFailed("the agent is gone", hint="look at the log")]

    answer = await client.post(path, json={"cmd": "x", "stream": True})

    assert [json.loads(line) for line in answer.text.splitlines()] == [
        {"stdout": "x"},
        {"error": "the agent is gone; look at the log"},
        {"exit_code": 126},
    ]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("output", [[], [Output(1, b"first")]])
async def test_a_client_that_goes_away_ends_the_program(
    app: FastAPI, world: FakeWorld, path: str, stream: bool, output: list[Output]
) -> None:
    world.execs.script = [*output, 3600.0]
    body = json.dumps({"cmd": "x", "stream": stream}).encode()
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": body}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await world.execs.begun.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        await asyncio.sleep(0)

    headers = [(b"host", b"localhost"), (b"x-api-key", KEY.encode()), (b"content-type", b"application/json")]
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "scheme": "http",
        "query_string": b"",
        "headers": headers,
    }
    async with asyncio.timeout(60):
        await app(scope, receive, send)

    assert world.execs.ended.is_set()
