"""`checkpoint`: what is asked for, and what is said about it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_api import FakeApi, page, sandbox, sandbox_id

FIRST = {"id": "cp-1", "name": "first", "sandbox_name": "my-box", "created_at": "2026-11-23T10:00:00.000Z"}
SECOND = {**FIRST, "id": "cp-2", "name": "second", "created_at": "2026-11-23T11:00:00.000Z", "parent": "cp-1"}
THIRD = {**FIRST, "id": "cp-3", "name": "third", "created_at": "2026-11-23T12:00:00.000Z", "parent": "cp-2"}
FOURTH = {**FIRST, "id": "cp-4", "name": "fourth", "created_at": "2026-11-23T13:00:00.000Z", "parent": "cp-1"}


def answer(api: FakeApi, route: str, data: Any) -> None:
    api.instead[route] = (200, {"status": "success", "data": data})


@pytest.fixture(autouse=True)
def _world(api: FakeApi) -> None:
    api.rows = [sandbox(1, "my-box"), sandbox(2, "calm-otter")]
    api.instead["GET /v1/checkpoints"] = page([FOURTH, THIRD, SECOND, FIRST])
    answer(api, f"POST /v1/sandboxes/{sandbox_id(1)}/checkpoints", FIRST)
    answer(api, "POST /v1/checkpoints/first/fork", sandbox(2, "calm-otter", status="forking"))
    answer(api, "DELETE /v1/checkpoints/first", FIRST)


def test_create_names_the_state_of_a_sandbox(cli: Cli, api: FakeApi) -> None:
    ran = cli("sandbox", "checkpoint", "create", "my-box", "first", terminal=True)

    assert (ran.code, ran.out) == (0, "Created first (cp-1)\n")
    assert api.bodies == [{"name": "first"}]


def test_the_tree_shows_which_came_after_which(cli: Cli) -> None:
    ran = cli("sandbox", "checkpoint", "tree", terminal=True)

    assert ran.out.splitlines() == [
        "first  (my-box, 2026-11-23 10:00)",
        "└─ second  (my-box, 2026-11-23 11:00)",
        "   └─ third  (my-box, 2026-11-23 12:00)",
        "└─ fourth  (my-box, 2026-11-23 13:00)",
    ]


def test_a_fork_is_waited_for(cli: Cli) -> None:
    ran = cli("sandbox", "checkpoint", "fork", "first", terminal=True)

    assert (ran.code, ran.out) == (0, f"Forked calm-otter ({sandbox_id(2)}): running\n")


def test_rm_asks_for_yes_without_a_terminal(cli: Cli, api: FakeApi) -> None:
    refused = cli("sandbox", "checkpoint", "rm", "first", "-o", "table")
    done = cli("sandbox", "checkpoint", "rm", "first", "--yes")

    assert (refused.code, "needs --yes without a terminal" in refused.err) == (1, True)
    assert done.document == {**FIRST, "action": "checkpoint_deleted"}


def test_a_list_is_a_bare_array_and_an_empty_one_says_what_to_do(cli: Cli, api: FakeApi) -> None:
    assert [row["name"] for row in cli("sandbox", "checkpoint", "ls").document][-1] == "first"
    api.instead["GET /v1/checkpoints"] = page([])

    assert "createos sandbox checkpoint create my-box" in cli("sandbox", "checkpoint", "ls", terminal=True).out


@pytest.mark.parametrize(("flags", "environ"), [(("--auto-resume",), {}), ((), {"CREATEOS_AUTO_RESUME": "1"})])
def test_a_request_may_ask_for_a_sandbox_to_be_woken(
    cli: Cli, api: FakeApi, flags: tuple[str, ...], environ: dict[str, str]
) -> None:
    cli("sandbox", "exec", "my-box", *flags, "--", "true", environ=environ)
    woken = [request.headers.get("X-Auto-Resume") for request in api.requests]
    api.requests.clear()
    cli("sandbox", "exec", "my-box", "--", "true")

    assert set(woken) == {"true"}
    assert all("X-Auto-Resume" not in request.headers for request in api.requests)
