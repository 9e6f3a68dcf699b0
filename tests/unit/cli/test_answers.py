"""What every command prints: JSON against expected files, prose line by line."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_api import TOKEN, FakeApi, sandbox, sandbox_id

INGRESS = "https://01kaq-<port>.sandbox.localhost:8443"


@pytest.fixture(autouse=True)
def _rows(api: FakeApi) -> None:
    api.rows = [
        sandbox(1, "my-box", envs=["A", "B"], egress=["a.com", "*.b.org"], auto_pause_after_seconds=5400),
        sandbox(2, "your-box", status="paused", ingress_enabled=True, ingress_url_template=INGRESS),
        sandbox(3, "old-box", status="destroyed"),
    ]
    api.exec_result = {"stdout": "out <&>", "stderr": "err", "exit_code": 3}


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("shapes", "sandbox shapes"),
        ("rootfs", "sandbox images"),
        ("list", "sandbox list"),
        ("list-all", "sb ls --all"),
        ("list-none", "sandbox list --status failed"),
        ("get", "sandbox get my-box"),
        ("create", "sandbox create --shape s-1vcpu-256mb --name my-box"),
        ("rm", "sandbox rm my-box your-box --force"),
        ("rm-partly", "sandbox rm nope my-box --yes"),
        ("rm-unforced", "sandbox rm my-box"),
        ("exec", "sandbox exec my-box -o json -- sh"),
        ("whoami", "whoami"),
        ("login", "login"),
        ("not-found", "sandbox get nope"),
        ("usage", "sandbox list --bogus"),
        ("no-shape", "sandbox create"),
    ],
)
def test_a_pipe_gets_json_as_expected(cli: Cli, golden: Callable[[str, str], None], name: str, line: str) -> None:
    ran = cli(*line.split())

    golden(f"{name}.json", ran.out)
    assert ran.err == ""


@pytest.mark.parametrize(
    ("name", "line", "columns"),
    [
        ("shapes", "sandbox shapes", 100),
        ("rootfs", "sandbox rootfs", 100),
        ("list-wide", "sandbox list --wide", 130),
        ("list-90", "sandbox list", 90),
        ("list-80", "sandbox list", 80),
        ("list-40", "sandbox list", 40),
        ("get", "sandbox get my-box", 100),
        ("get-paused", "sandbox get your-box", 100),
        ("create", "sandbox create --shape s-1vcpu-256mb --name my-box", 100),
        ("rm", "sandbox rm my-box --force", 100),
        ("whoami", "whoami", 100),
        ("login", "login", 100),
    ],
)
def test_a_terminal_gets_prose_as_expected(
    cli: Cli, golden: Callable[[str, str], None], name: str, line: str, columns: int
) -> None:
    ran = cli(*line.split(), terminal=True, columns=columns, environ={"NO_COLOR": "1"})

    golden(f"{name}.txt", ran.out)
    assert ran.err == ""
    assert all(len(text) <= columns - 2 for text in ran.out.splitlines())


def test_create_shows_how_to_use_what_was_asked_for(cli: Cli, api: FakeApi) -> None:
    row = sandbox(9, "my-box", ingress_url_template=INGRESS, auto_pause_after_seconds=600)
    api.instead["POST /v1/sandboxes"] = (200, {"status": "success", "data": row})

    prose = cli("sandbox", "create", "--shape", "s", "-o", "table").out
    document = cli("sandbox", "create", "--shape", "s").document

    assert INGRESS in prose
    assert "10m" in prose
    assert document["ingress_url"] == document["ingress_url_template"] == INGRESS


def test_colours_are_for_terminals_without_no_color(cli: Cli) -> None:
    coloured = cli("sandbox", "list", terminal=True, columns=100).out
    piped = cli("sandbox", "list", "-o", "table").out

    assert "\x1b[32mrunning" in coloured
    assert "\x1b" not in piped


def test_output_json_on_a_terminal_is_json(cli: Cli) -> None:
    assert cli("sandbox", "list", "-o", "json", terminal=True, columns=40).document[0]["name"] == "your-box"


def test_any_other_format_word_is_prose(cli: Cli) -> None:
    assert cli("sandbox", "shapes", environ={"CREATEOS_OUTPUT": "yaml"}).out.startswith("ID ")


def test_quiet_prints_ids_in_every_format(cli: Cli) -> None:
    for line in ("sb ls -q", "sb ls --quiet -o json", "sb ls -q -o table"):
        assert cli(*line.split()).out.split() == [sandbox_id(2), sandbox_id(1)]


def test_list_asks_for_every_active_status_and_not_for_creating(cli: Cli, api: FakeApi) -> None:
    cli("sandbox", "list", "--limit", "7", "--offset", "2")

    assert api.calls == [
        f"GET /v1/sandboxes?limit=7&offset=2&status={status}"
        for status in ("running", "paused", "pausing", "resuming", "forking")
    ]


def test_a_status_wins_over_all(cli: Cli, api: FakeApi) -> None:
    cli("sandbox", "list", "--all", "--status", "destroyed")

    assert api.calls == ["GET /v1/sandboxes?limit=50&offset=0&status=destroyed"]


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ((), "There are no active sandboxes."),
        (("--all",), "There are no sandboxes yet."),
        (("--status", "error"), "No sandbox has the status error."),
    ],
)
def test_an_empty_list_says_so_and_how_to_change_that(
    cli: Cli, api: FakeApi, flags: tuple[str, ...], sentence: str
) -> None:
    api.rows = []

    ran = cli("sandbox", "list", *flags, "-o", "table")

    assert ran.code == 0
    assert ran.out.startswith(sentence)
    assert "createos sandbox create" in ran.out


def test_bandwidth_joins_the_sandbox_when_the_server_knows_it(cli: Cli, api: FakeApi) -> None:
    traffic = {"id": sandbox_id(1), "quota_bytes": 1024, "used_bytes": 1000, "remaining_bytes": 24, "capped": False}
    api.instead[f"GET /v1/sandboxes/{sandbox_id(1)}/bandwidth"] = (200, {"status": "success", "data": traffic})

    assert cli("sandbox", "get", "my-box").document["bandwidth"] == traffic
    assert "1000 B of 1.0 kB (nearly used up)" in cli("sandbox", "get", "my-box", "-o", "table").out


def test_rootfs_without_details_shows_names_and_the_default(cli: Cli, api: FakeApi) -> None:
    catalog = {"rootfs": ["a:1", "b:1"], "default": "a:1"}
    api.instead["GET /v1/rootfs"] = (200, {"status": "success", "data": catalog})

    assert cli("sandbox", "rootfs", "-o", "table").out.splitlines() == ["Name  Default", "a:1   yes", "b:1   -"]


def test_debug_shows_the_exchange_and_no_secret(cli: Cli) -> None:
    ran = cli("login", "--debug", "-o", "json")
    told = cli("sandbox", "create", "--shape", "s", "--env", "PASSWORD=hunter2", "--api-key", TOKEN, "-d")

    assert "POST /v1/local/tokens" in ran.err
    assert "request id req-7" in ran.err
    assert TOKEN not in ran.err + told.err
    assert f"{TOKEN[:6]}****{TOKEN[-4:]}" in told.err
    assert "hunter2" not in told.err


def test_a_fork_shows_what_was_renewed_and_when_its_agent_confirmed_that(cli: Cli, api: FakeApi) -> None:
    receipt = {"hostname": "calm-otter", "clock": "set, right within 3 ms", "confirmed_at": "2026-11-23T10:00:00.500Z"}
    api.rows = [sandbox(1, "calm-otter", forked_from=sandbox_id(2), fork_receipt=receipt)]

    shown = cli("sandbox", "get", "calm-otter", terminal=True).out

    assert "Renewed in this fork, as its agent confirmed at 2026-11-23 10:00:00:" in shown
    assert "set, right within 3 ms" in shown
