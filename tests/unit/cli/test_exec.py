from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_api import FakeApi, sandbox, sandbox_id


@pytest.fixture(autouse=True)
def _box(api: FakeApi) -> None:
    api.rows = [sandbox(1, "box", status="running")]


def frames(*documents: dict[str, object]) -> list[bytes]:
    return [json.dumps(document).encode() + b"\n" for document in documents]


@pytest.mark.parametrize(
    "line", ["exec box -- ls -l /", "exec box ls -l /", "exec -s box ls -l /", "exec box --stream -- ls -l /"]
)
def test_the_command_is_an_argument_vector(cli: Cli, api: FakeApi, line: str) -> None:
    api.frames = frames({"exit_code": 0})

    assert cli("sb", *line.split()).code == 0
    assert api.bodies[0]["cmd"] == "ls"
    assert api.bodies[0]["args"] == ["-l", "/"]
    assert api.requests[-1].path.startswith(f"/v1/sandboxes/{sandbox_id(1)}/exec")


@pytest.mark.parametrize(("told", "code"), [(0, 0), (1, 1), (42, 42), (255, 255), (256, 1), (-1, 255), (512, 1)])
def test_the_exit_code_is_the_programs_and_a_failure_never_becomes_0(
    cli: Cli, api: FakeApi, told: int, code: int
) -> None:
    api.exec_result = {"stdout": "", "stderr": "", "exit_code": told}
    api.frames = frames({"exit_code": told})

    assert cli("sandbox", "exec", "box", "--", "x").code == code
    assert cli("sandbox", "exec", "box", "-s", "--", "x").code == code


def test_buffered_output_keeps_its_stream_and_ends_in_a_newline(cli: Cli, api: FakeApi) -> None:
    api.exec_result = {"stdout": "a\nb", "stderr": "warned\n", "exit_code": 0}

    ran = cli("sandbox", "exec", "box", "--", "x")

    assert (ran.out, ran.err) == ("a\nb\n", "warned\n")


def test_no_output_stays_no_output(cli: Cli) -> None:
    ran = cli("sandbox", "exec", "box", "--", "x")

    assert (ran.out, ran.err) == ("", "")


def test_what_the_agent_could_not_start_is_an_error_line(cli: Cli, api: FakeApi) -> None:
    api.exec_result = {"stdout": "", "stderr": "", "exit_code": 127, "error": "x: not found"}

    ran = cli("sandbox", "exec", "box", "--", "x")

    assert (ran.code, ran.out, ran.err) == (127, "", "Error: x: not found\n")


def test_streamed_output_is_passed_on_as_it_is(cli: Cli, api: FakeApi) -> None:
    api.frames = frames({"hb": True}, {"stdout": "a\r"}, {"stderr": "e"}, {"stdout": "b\x00\u2028"}, {"exit_code": 7})

    ran = cli("sandbox", "exec", "box", "--stream", "--", "x")

    assert (ran.code, ran.out, ran.err) == (7, "a\rb\x00\u2028", "e")
    assert api.bodies[0]["stream"] is True


def test_frames_may_be_cut_anywhere_and_unreadable_lines_are_skipped(cli: Cli, api: FakeApi) -> None:
    whole = b"".join(
        [b"garbage\n", *frames({"stdout": "one\n"}), b"[1]\n\n", *frames({"stdout": "two\n"}, {"exit_code": 3})]
    )
    api.frames = [bytes([byte]) for byte in whole.rstrip(b"\n")]

    ran = cli("sandbox", "exec", "box", "-s", "x")

    assert (ran.code, ran.out) == (3, "one\ntwo\n")


def test_a_stream_without_an_exit_code_is_success_unless_it_told_an_error(cli: Cli, api: FakeApi) -> None:
    api.frames = frames({"stdout": "x"})
    clean = cli("sandbox", "exec", "box", "-s", "x")
    api.frames = frames({"error": "agent lost"})
    lost = cli("sandbox", "exec", "box", "-s", "x")

    assert (clean.code, lost.code) == (0, 1)
    assert lost.err == "Error: agent lost\n"


def test_a_refused_stream_is_an_ordinary_error(cli: Cli, api: FakeApi) -> None:
    api.instead[f"POST /v1/sandboxes/{sandbox_id(1)}/exec"] = (409, {"status": "fail", "data": "sandbox is paused"})

    ran = cli("sandbox", "exec", "box", "-s", "x")

    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "Error: sandbox is paused\n  resume it first: createos sandbox resume NAME\n"


def test_overrides_go_along_and_commas_are_part_of_them(cli: Cli, api: FakeApi) -> None:
    cli("sandbox", "exec", "--env", "A=1,2", "box", "--env=B=x=y", "--", "env", "--env", "C=3")

    assert api.bodies[0]["env"] == {"A": "1,2", "B": "x=y"}
    assert api.bodies[0]["args"] == ["--env", "C=3"]


def test_a_piped_standard_input_goes_along_whole(cli: Cli, api: FakeApi) -> None:
    cli("sandbox", "exec", "box", "--", "cat", stdin="grüße\n".encode())

    assert api.bodies[0]["stdin"] == "grüße\n"


def test_without_a_pipe_there_is_no_standard_input(cli: Cli, api: FakeApi) -> None:
    cli("sandbox", "exec", "box", "--", "cat")

    assert "stdin" not in api.bodies[0]


def test_standard_input_may_be_a_file_or_ours(cli: Cli, api: FakeApi, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("from a file")

    cli("sandbox", "exec", "box", "--stdin", str(tmp_path / "in"), "--", "cat", stdin=b"piped")
    cli("sandbox", "exec", "box", "--stdin", "-", "--", "cat", stdin=b"typed", terminal=True)

    assert [body["stdin"] for body in api.bodies] == ["from a file", "typed"]


def test_a_standard_input_that_is_no_text_is_refused_and_says_where(cli: Cli, api: FakeApi) -> None:
    ran = cli("sandbox", "exec", "box", "--", "cat", stdin=b"ab\xff")

    assert ran.code == 1
    assert "byte 2" in ran.err
    assert api.bodies == []


def test_json_needs_to_be_asked_for_by_name_and_not_with_stream(cli: Cli, api: FakeApi) -> None:
    api.exec_result = {"stdout": "o", "stderr": "e", "exit_code": 4}
    api.frames = frames({"stdout": "raw"}, {"exit_code": 0})

    asked = cli("sandbox", "exec", "box", "--", "x", environ={"CREATEOS_OUTPUT": "json"})
    streamed = cli("-o", "json", "sandbox", "exec", "box", "-s", "x")

    assert asked.code == 4
    assert asked.document == {"sandbox_id": sandbox_id(1), "exit_code": 4, "stdout": "o", "stderr": "e", "error": ""}
    assert streamed.out == "raw"


def test_an_explicit_json_gets_its_errors_as_json_too(cli: Cli) -> None:
    assert cli("sandbox", "exec", "nope", "-o", "json", "--", "x").document["error"]["code"] == "not_found"


def test_a_terminal_is_asked_for_sandbox_and_program(cli: Cli, api: FakeApi) -> None:
    ran = cli("sandbox", "exec", terminal=True, stdin=b"1\nuname  -a\n")

    assert ran.code == 0
    assert (api.bodies[0]["cmd"], api.bodies[0]["args"]) == ("uname", ["-a"])
    assert api.calls[0] == "GET /v1/sandboxes?limit=200&status=running"


def test_a_terminal_is_asked_only_for_what_is_missing(cli: Cli, api: FakeApi) -> None:
    cli("sandbox", "exec", "--", "ls", "-l", terminal=True, stdin=b"1\n")
    cli("sandbox", "exec", "box", terminal=True, stdin=b"id\n")

    assert [body["cmd"] for body in api.bodies] == ["ls", "id"]


@pytest.mark.parametrize(
    "line",
    [
        "box -- ls -l",
        "box ls -l --env X=1",
        "box --env A=1 -s -- sh -c x",
        "--env=A=1 --stdin /dev/null box ls -- -x",
        "-s box -- -- ls",
        "box --stream ls -s",
    ],
)
def test_the_quick_path_and_the_parser_read_the_same(cli: Cli, api: FakeApi, line: str) -> None:
    api.frames = frames({"exit_code": 0})
    cli("sandbox", "exec", *line.split())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("createos_cli.commands.exec.plain_call", lambda tokens: None)
        cli("sandbox", "exec", *line.split())

    quick, parsed = api.bodies
    assert quick == parsed
    assert api.calls[1] == api.calls[3]
