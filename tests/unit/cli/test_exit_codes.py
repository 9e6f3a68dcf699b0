from __future__ import annotations

import os
import subprocess
import sys

import pytest
from createos_cli import main as program
from createos_cli.errors import ApiFailure, CliError, code_of
from createos_cli.wire import Request, Response

from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_api import FakeApi, sandbox

ALWAYS_WRONG = (
    "bogus",
    "sandbox bogus",
    "sandbox list --bogus",
    "sandbox list extra",
    "sandbox list --limit many",
    "sandbox list --limit 0",
    "sandbox list --output",
    "sandbox get a b",
    "sandbox get nope",
    "sandbox exec --bogus box -- ls",
    "sandbox exec box --env -- ls",
    "sandbox exec box --env novalue -- ls",
    "sandbox exec box --stdin /nowhere -- ls",
    "sandbox create --shape",
    "sandbox create --shape s extra",
    "sandbox create --shape s --env =x",
    "sandbox create --shape s --disk nopath",
    "sandbox create --shape s --auto-pause 10",
    "sandbox create --shape s --ssh-key /nowhere",
    "logout",
    "login --token wrong",
    "--sandbox-api-url gopher://x sandbox list",
    "--api-url http://example.org whoami",
    "--api-key ä whoami",
)
ASKED_ON_A_TERMINAL = (
    "sandbox get",
    "sandbox rm",
    "sandbox rm box",
    "sandbox exec",
    "sandbox exec box",
    "sandbox exec -- ls",
    "sandbox create",
)


@pytest.mark.parametrize("line", [*ALWAYS_WRONG, *ASKED_ON_A_TERMINAL])
def test_every_error_in_a_pipe_exits_with_1_and_says_what(cli: Cli, api: FakeApi, line: str) -> None:
    api.rows = [sandbox(1, "box", status="paused")]

    ran = cli(*line.split())

    assert ran.code == 1
    assert "Traceback" not in ran.out + ran.err
    assert ran.err.startswith("Error: ") if " exec" in line else ran.document["error"]["message"]


@pytest.mark.parametrize("line", ALWAYS_WRONG)
def test_every_error_on_a_terminal_exits_with_1_and_is_a_sentence_on_stderr(cli: Cli, api: FakeApi, line: str) -> None:
    api.rows = [sandbox(1, "box", status="paused")]

    ran = cli(*line.split(), terminal=True)

    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("Error: ")


@pytest.mark.parametrize("line", ASKED_ON_A_TERMINAL)
def test_leaving_a_question_on_a_terminal_is_no_error(cli: Cli, api: FakeApi, line: str) -> None:
    api.rows = [sandbox(1, "box")]

    ran = cli(*line.split(), terminal=True)

    assert (ran.code, ran.out) == (0, "Cancelled.\n")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "bad_request"),
        (401, "unauthorized"),
        (402, "api_error"),
        (403, "forbidden"),
        (404, "not_found"),
        (409, "conflict"),
        (413, "api_error"),
        (429, "rate_limited"),
        (500, "server_error"),
        (503, "server_error"),
    ],
)
def test_a_refusal_has_the_code_of_its_status(cli: Cli, api: FakeApi, status: int, code: str) -> None:
    api.instead["GET /v1/shapes"] = (status, {"status": "fail", "data": "no"})

    ran = cli("sandbox", "shapes")

    assert (ran.code, ran.document["error"]["code"], ran.document["error"]["message"]) == (1, code, "no")
    assert code_of(status) == code


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"status": "fail", "data": {"shape": "unknown shape: s-bad", "name": "taken"}}, "taken; unknown shape: s-bad"),
        ({"status": "error", "message": "broken", "code": 500, "data": "it broke"}, "it broke"),
        ({"status": "error", "message": "broken", "code": 500}, "broken"),
        ({"status": "fail", "data": {"count": 3}}, "failed with status 400"),
        ([1], "failed with status 400"),
        ("<html>", "failed with status 400"),
    ],
)
def test_the_message_of_a_refusal_is_its_data(cli: Cli, api: FakeApi, body: object, message: str) -> None:
    api.instead["GET /v1/shapes"] = (400, body if not isinstance(body, list) else [b"[1]"])

    assert cli("sandbox", "shapes").document["error"]["message"] == message


@pytest.mark.parametrize(
    "answer", [[b""], [b"<html>"], [b'{"status":"fail"}'], [b'{"status":"success"}'], [b"[" * 10**5]]
)
def test_what_is_not_the_sandbox_api_is_told_apart(cli: Cli, api: FakeApi, answer: list[bytes]) -> None:
    api.instead["GET /v1/shapes"] = (200, answer)

    ran = cli("sandbox", "shapes")

    assert ran.code == 1
    assert "did not answer as the sandbox API does" in ran.document["error"]["message"]


def test_a_bug_is_one_sentence_and_its_place_is_for_debug(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(request: Request) -> Response:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(FakeApi, "__call__", lambda self, request: broken(request))

    plain = cli("sandbox", "shapes", "-o", "table")
    debugged = cli("sandbox", "shapes", "-o", "table", "--debug")

    assert plain.code == debugged.code == 1
    assert plain.err == "Error: unexpected ZeroDivisionError: by zero\n  run it again with --debug to see where\n"
    assert "Traceback" in debugged.err


def test_interrupting_exits_quietly_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(argv: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(program, "_run_words", interrupted)

    assert program.run() == 130
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("creat", "create"), ("ilst", "list"), ("destrooy", "destroy"), ("exce", "exec"), ("image", "images")],
)
def test_a_misspelt_command_brings_the_nearest_name(cli: Cli, typed: str, meant: str) -> None:
    assert f"did you mean '{meant}'?" in cli("sandbox", typed).document["error"]["message"]


def test_a_word_like_no_command_brings_no_guess(cli: Cli) -> None:
    assert "did you mean" not in cli("sandbox", "frobnicate").out
    assert "did you mean 'sandbox'" in cli("sandbx", "list").out


def test_every_error_class_states_what_and_next() -> None:
    for kind in CliError.__subclasses__():
        error = ApiFailure("m", status=404) if kind is ApiFailure else kind("m", hint="h")

        assert (error.message, bool(error.hint), bool(error.code)) == ("m", True, True)


def test_a_reader_who_leaves_is_no_error_message() -> None:
    program = "from createos_cli.main import run; raise SystemExit(run())"
    read, write = os.pipe()
    os.close(read)

    ran = subprocess.run([sys.executable, "-c", program, "--help"], stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)

    assert (ran.returncode, ran.stderr) == (141, b"")
