"""Managed processes over the API: what is asked of the service, what the lines of a reader say, what is refused."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import pytest
from createos_engine.api.process_views import lines
from createos_engine.api.source import Source
from createos_engine.process import (
    OutputExpired,
    OutputLost,
    OutputOver,
    ProcessEvent,
    ProcessExit,
    ProcessOutput,
)
from createos_engine.words import State

from tests.fakes.rows import sandbox
from tests.fakes.services import FakeWorld


@pytest.fixture
def path(world: FakeWorld) -> str:
    return f"/v1/sandboxes/{world.sandboxes.add(sandbox(state=State.RUNNING)).id}/processes"


async def started(client: httpx.AsyncClient, path: str, **body: Any) -> dict[str, Any]:
    answer = await client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["data"])


async def heard(client: httpx.AsyncClient, path: str, process: dict[str, Any], after: int = 0) -> list[dict[str, Any]]:
    answer = await client.get(f"{path}/{process['process_id']}/connect", params={"after": after})
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


async def test_a_process_is_described_and_its_output_replayed(client: httpx.AsyncClient, path: str) -> None:
    process = await started(client, path, cmd="sh", args=["-c", "echo out; exit 3"], env={"A": "1"})

    assert process["kind"] == "process"
    assert process["state"] == "running"
    assert process["args"] == ["-c", "echo out; exit 3"]
    assert "finished_at" not in process
    events = await heard(client, path, process)
    assert events == [
        {"type": "data", "seq": 1, "stream": "stdout", "data_base64": base64.b64encode(b"out\n").decode()},
        {"type": "exit", "seq": 2, "exit_code": 3},
    ]
    assert await heard(client, path, process, after=1) == events[1:]
    ended = (await client.get(f"{path}/{process['process_id']}")).json()["data"]
    assert (ended["state"], ended["exit_code"], ended["output"]) == (
        "exited",
        3,
        {"oldest_seq": 1, "newest_seq": 2, "bytes": 4},
    )
    assert (await client.get(path)).json()["data"] == {"processes": [ended]}


async def test_input_and_its_end(client: httpx.AsyncClient, path: str) -> None:
    process = await started(client, path, cmd="cat")
    one = f"{path}/{process['process_id']}"

    first = await client.post(f"{one}/input", json={"data_base64": base64.b64encode(b"\xff\x00").decode()})
    second = await client.post(f"{one}/input", json={"data_base64": ""})
    closed = await client.post(f"{one}/stdin/close", content=b"null")

    assert [first.json()["data"], second.json()["data"]] == [{"input_seq": 1}, {"input_seq": 2}]
    assert closed.json()["data"] == {"ok": True}
    events = await heard(client, path, process)
    assert base64.b64decode(events[0]["data_base64"]) == b"\xff\x00"


@pytest.mark.parametrize("query", [{}, {"scope": ""}, {"scope": "tree"}, {"timeout_ms": "9000000"}])
async def test_a_wait_answers_when_the_process_has_ended(
    client: httpx.AsyncClient, path: str, query: dict[str, str]
) -> None:
    process = await started(client, path, cmd="true")

    answer = await client.get(f"{path}/{process['process_id']}/wait", params=query)

    assert answer.json()["data"]["exit_code"] == 0


async def test_a_wait_that_is_over_too_early_is_408(client: httpx.AsyncClient, path: str) -> None:
    process = await started(client, path, cmd="sleep", args=["1000"])
    one = f"{path}/{process['process_id']}"

    answer = await client.get(f"{one}/wait", params={"timeout_ms": 1})

    assert answer.status_code == 408
    assert "has not ended within 0.001 s" in answer.json()["data"]
    ended = (await client.delete(one, params={"grace_ms": 0})).json()["data"]
    assert (ended["signal"], ended["exit_code"], ended["tree_exited"]) == ("SIGKILL", 137, True)
    assert (await client.delete(one)).json()["data"] == ended


async def test_a_terminal_has_the_usual_size_unless_told_otherwise(client: httpx.AsyncClient, path: str) -> None:
    process = await started(client, path, pty={}, cmd="sh", args=["-c", "stty size"])

    events = await heard(client, path, process)

    assert process["kind"] == "pty"
    assert base64.b64decode(events[0]["data_base64"]) == b"24 80\r\n"
    assert events[0]["stream"] == "pty"


@pytest.mark.parametrize(
    ("route", "body", "field"),
    [
        ("", {}, "cmd"),
        ("", {"cmd": "cat", "cwd": "relative"}, "cwd"),
        ("", {"cmd": "cat", "cwd": "/no/such/place"}, "cwd"),
        ("", {"cmd": "no-such-program"}, "cmd"),
        ("", {"cmd": "cat", "env": {"1": "x"}}, "env"),
        ("", {"cmd": "cat", "args": ["a\0b"]}, "args"),
        ("", {"args": ["x"], "pty": {}}, "body"),
        ("", {"cmd": "cat", "pty": {"rows": 70000}}, "pty"),
        ("/X/input", {"data_base64": "a"}, "data_base64"),
        ("/X/input", {"data_base64": "YQ==\n"}, "data_base64"),
        ("/X/input", {}, "data_base64"),
        ("/X/resize", {"rows": 0, "cols": 80}, "rows"),
        ("/X/signal", {"signal": "SIGSTOP"}, "signal"),
        ("/X/signal", {}, "signal"),
    ],
)
async def test_what_is_wrong_is_named(
    client: httpx.AsyncClient, path: str, route: str, body: dict[str, Any], field: str
) -> None:
    answer = await client.post(path + route, json=body)

    assert (answer.status_code, list(answer.json()["data"])) == (400, [field])


@pytest.mark.parametrize("query", ["after=-1", "after=x", "after=9223372036854775808"])
async def test_a_place_that_is_no_number_is_refused(client: httpx.AsyncClient, path: str, query: str) -> None:
    assert (await client.get(f"{path}/X/connect?{query}")).status_code == 400
    assert (await client.get(f"{path}/X/wait?scope=family")).json()["data"] == {
        "scope": "unknown scope: family; it is leader or tree"
    }


async def test_an_unknown_process_and_a_paused_sandbox(client: httpx.AsyncClient, path: str, world: FakeWorld) -> None:
    paused = world.sandboxes.add(sandbox(id="sb-01k5zq7m3v8w2x4y6z9abcdefh", name="asleep", slot=2, state=State.PAUSED))

    for method, route in (("GET", ""), ("GET", "/connect"), ("GET", "/wait"), ("DELETE", ""), ("POST", "/stdin/close")):
        assert (await client.request(method, f"{path}/proc-1{route}")).status_code == 404
        refused = await client.request(method, f"/v1/sandboxes/{paused.id}/processes/proc-1{route}")
        assert (refused.status_code, refused.json()["data"].split(";")[0]) == (409, "sandbox is paused")


async def said(*steps: ProcessEvent | Exception | float, heartbeat_s: float = 5) -> list[dict[str, Any]]:
    """Return what a reader of these events is told."""

    async def played(steps: Sequence[ProcessEvent | Exception | float]) -> AsyncIterator[ProcessEvent]:
        for step in steps:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, float):
                await asyncio.sleep(step)
            else:
                yield step

    source: Source[ProcessEvent] = Source(played(steps), end=OutputOver())
    told = [line async for line in lines(source, heartbeat_s)]
    assert all(line.isascii() and line.endswith("\n") and len(line) < 65_536 for line in told)
    return [json.loads(line) for line in told]


async def test_silence_is_a_heartbeat_and_the_exit_is_the_last_word() -> None:
    events = await said(0.05, ProcessExit(1, 137, "SIGKILL"), ProcessOutput(2, "stdout", b"late"), heartbeat_s=0.02)

    assert events[0] == {"type": "heartbeat"}
    assert events[-1] == {"type": "exit", "seq": 1, "exit_code": 137, "signal": "SIGKILL"}


async def test_a_reader_that_is_too_late_is_told_where_to_go_on() -> None:
    assert await said(OutputExpired(42)) == [
        {"type": "error", "error": "output offset expired", "oldest_available_seq": 42}
    ]


async def test_a_lost_guest_and_a_bug_are_errors_of_the_stream() -> None:
    assert await said(OutputLost("the machine closed the channel")) == [
        {"type": "error", "error": "the machine closed the channel"}
    ]
    assert (await said(RuntimeError("oh")))[0]["error"].startswith("createosd has made a mistake")


async def test_the_largest_event_fits_a_line() -> None:
    events = await said(ProcessOutput(2**63 - 1, "stdout", b"\xff" * 32_768))

    assert base64.b64decode(events[0]["data_base64"]) == b"\xff" * 32_768
