"""Managed processes in a real guest: they survive their clients and the daemon."""

from __future__ import annotations

import base64
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.vm.engine import Box, LiveEngine, live_engine, wait_for


@pytest.fixture(scope="module")
def own() -> Iterator[LiveEngine]:
    """An engine that may be killed."""
    with live_engine() as engine:
        yield engine


@pytest.fixture(scope="module")
def host(own: LiveEngine) -> Iterator[Box]:
    box = own.create(name="keeper")
    yield box
    box.destroy()


def start(box: Box, script: str, **more: object) -> dict[str, Any]:
    body = {"cmd": "/bin/sh", "args": ["-c", script], **more}
    process: dict[str, Any] = box.engine.call("POST", f"/v1/sandboxes/{box.id}/processes", body)
    return process


def view(box: Box, process: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = box.engine.call("GET", _path(box, process))
    return found


def ended(box: Box, process: dict[str, Any], scope: str = "leader") -> dict[str, Any]:
    found: dict[str, Any] = box.engine.call("GET", f"{_path(box, process)}/wait?timeout_ms=55000&scope={scope}")
    return found


def journal(box: Box, process: dict[str, Any], after: int = 0) -> list[dict[str, Any]]:
    """Read events up to the exit."""
    with following(box, process, after) as events:
        return list(events)


@contextmanager
def following(box: Box, process: dict[str, Any], after: int = 0) -> Iterator[Iterator[dict[str, Any]]]:
    """Yield events as they come."""
    with box.engine.http.stream("GET", f"{_path(box, process)}/connect?after={after}") as answer:
        yield (event for line in answer.iter_lines() if (event := json.loads(line))["type"] != "heartbeat")


def shows(box: Box, process: dict[str, Any], wanted: bytes) -> None:
    """Follow a process until it has printed this."""
    seen: list[dict[str, Any]] = []
    with following(box, process) as events:
        while wanted not in text(seen):
            seen.append(next(events))


def text(events: list[dict[str, Any]]) -> bytes:
    return b"".join(base64.b64decode(event["data_base64"]) for event in events if event["type"] == "data")


def _path(box: Box, process: dict[str, Any]) -> str:
    return f"/v1/sandboxes/{box.id}/processes/{process['process_id']}"


def test_a_process_survives_a_client_that_drops_and_a_daemon_that_is_killed(own: LiveEngine, host: Box) -> None:
    process = start(host, "for i in 1 2 3 4 5 6 7 8; do echo line $i; sleep 0.5; done; exit 9")
    with following(host, process) as coming:
        first = next(coming)
    own.signal(signal.SIGKILL)
    own.start()

    assert view(host, process)["pid"] == process["pid"]
    assert ended(host, process)["exit_code"] == 9
    events = journal(host, process)
    assert text(events).decode().split("\n")[:8] == [f"line {i}" for i in range(1, 9)]
    assert (
        text(journal(host, process, after=first["seq"])) == text(events)[len(base64.b64decode(first["data_base64"])) :]
    )
    assert (events[-1]["type"], events[-1]["exit_code"]) == ("exit", 9)


def test_a_terminal_and_its_journal_are_found_again_after_a_pause(host: Box) -> None:
    process = start(host, "read -t 600 -p before: word; echo got-$word; exit 7", pty={"rows": 24, "cols": 80})
    shows(host, process, b"before:")

    host.pause()
    host.resume()

    typed = {"data_base64": base64.b64encode(b"again\n").decode()}
    host.engine.call("POST", f"{_path(host, process)}/input", typed)
    assert ended(host, process)["exit_code"] == 7
    said = text(journal(host, process))
    assert said.startswith(b"before:")
    assert b"got-again" in said


def test_the_journal_is_bounded_and_says_what_is_gone(host: Box) -> None:
    process = start(host, "head -c 30000000 /dev/zero")
    output = ended(host, process)["output"]
    answer = host.engine.http.get(f"{_path(host, process)}/connect?after=1")

    assert output["bytes"] < 5_000_000
    assert output["oldest_seq"] > 2
    assert "output offset expired" in answer.text
    assert str(output["oldest_seq"]) in answer.text
    assert len(text(journal(host, process))) > 0 or output["oldest_seq"] > 0


def test_waiting_for_the_tree_waits_for_what_the_leader_left(host: Box) -> None:
    process = start(host, "mkfifo /tmp/gate; setsid cat /tmp/gate >/dev/null 2>&1 & exit 0")
    leader = ended(host, process)
    host.sh("echo >/tmp/gate")
    tree = ended(host, process, scope="tree")

    assert (leader["leader_exited"], leader["tree_exited"]) == (True, False)
    assert tree["tree_exited"] is True


def test_deleting_ends_the_whole_tree(host: Box) -> None:
    process = start(host, "trap '' TERM; setsid sleep 987 & sleep 988")
    gone = host.engine.http.delete(f"{_path(host, process)}?grace_ms=200").json()["data"]

    assert gone["process_id"] == process["process_id"]
    wait_for(lambda: "sleep 98" not in host.sh("ps"), 10, "something is left")
    assert host.engine.http.delete(f"{_path(host, process)}?grace_ms=0").status_code in (200, 404)


def test_a_wait_that_takes_too_long_is_408(host: Box) -> None:
    process = start(host, "sleep 100")

    assert host.engine.http.get(f"{_path(host, process)}/wait?timeout_ms=100").status_code == 408
    host.engine.http.delete(f"{_path(host, process)}?grace_ms=0")


def test_a_terminal_echoes_takes_a_size_and_names_its_foreground_job(host: Box) -> None:
    process = start(host, "stty size; sleep 987", pty={"rows": 31, "cols": 97})
    shows(host, process, b"31 97")
    wait_for(lambda: view(host, process).get("foreground"), 10, "no foreground job")
    host.engine.call("POST", f"{_path(host, process)}/signal", {"signal": "SIGINT"})
    done = ended(host, process)

    assert done["signal"] == "SIGINT" or done["exit_code"] == 130


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "cmd"),
        ({"cmd": "/bin/true", "env": {"A B": "x"}}, "env"),
        ({"cmd": "/bin/true", "pty": {"rows": -1}}, "pty"),
        ({"cmd": "a\0b"}, "cmd"),
    ],
)
def test_bad_input_is_said_by_field(host: Box, body: object, field: str) -> None:
    answer = host.engine.http.post(f"/v1/sandboxes/{host.id}/processes", json=body)

    assert answer.status_code == 400
    assert list(answer.json()["data"]) == [field]


def test_a_program_that_is_not_there_is_no_process(host: Box) -> None:
    answer = host.engine.http.post(f"/v1/sandboxes/{host.id}/processes", json={"cmd": "/no/such/program"})

    assert answer.status_code == 400
    assert "/no/such/program" in answer.text


def test_ten_thousand_arguments_arrive(host: Box) -> None:
    body = {"cmd": "/bin/sh", "args": ["-c", "echo $#", "sh", *map(str, range(10_000))]}
    process = host.engine.call("POST", f"/v1/sandboxes/{host.id}/processes", body)

    ended(host, process)
    assert text(journal(host, process)) == b"10000\n"
