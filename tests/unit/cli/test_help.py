from __future__ import annotations

import re

import pytest
from createos_cli.groups import distance

from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_api import FakeApi

COMMANDS = [
    "login",
    "logout",
    "whoami",
    "version",
    *(f"sandbox {name}" for name in ("create", "list", "get", "rm", "exec", "shapes", "rootfs")),
]
ALIASES = ["sb c", "sb ls", "sb delete", "sb destroy", "sb images"]


@pytest.mark.parametrize("line", [*COMMANDS, *ALIASES, "sandbox", "sb", ""])
def test_help_works_signed_out_and_without_a_server(cli: Cli, api: FakeApi, line: str) -> None:
    asked = [cli(*line.split(), flag, environ={"CREATEOS_SANDBOX_URL": "https://x"}) for flag in ("--help", "-h")]

    assert {(ran.code, ran.err) for ran in asked} == {(0, "")}
    assert asked[0].out == asked[1].out
    assert asked[0].out.startswith(f"Usage: createos {line}".rstrip())
    assert all(len(text) <= 100 for text in asked[0].out.splitlines())
    assert api.calls == []


@pytest.mark.parametrize("line", ["help sandbox", "sandbox help"])
def test_the_word_help_is_the_flag(cli: Cli, line: str) -> None:
    assert cli(*line.split()).out == cli("sandbox", "--help").out


@pytest.mark.parametrize("line", ["", "sandbox", "sb"])
def test_a_group_without_a_command_prints_its_help(cli: Cli, line: str) -> None:
    ran = cli(*line.split())

    assert (ran.code, ran.out) == (0, cli(*line.split(), "--help").out)


def test_every_command_has_one_line_in_the_list_that_is_not_cut(cli: Cli) -> None:
    listing = cli("--help").out + cli("sandbox", "--help").out

    for line in COMMANDS:
        described = [text for text in listing.splitlines() if re.match(rf"  {line.split()[-1]}\b", text)]
        assert [text[-1] for text in described] == ["."], line
        assert not described[0].endswith("..."), line


@pytest.mark.parametrize("line", [f"sandbox {name}" for name in ("create", "list", "get", "rm", "exec")])
def test_commands_with_choices_show_examples(cli: Cli, line: str) -> None:
    out = cli(*line.split(), "--help").out

    assert f"Examples:\n    createos {line}" in out


def test_the_programs_help_lists_the_flags_that_work_everywhere(cli: Cli) -> None:
    out = cli("--help").out

    for flag in (
        "--sandbox-api-url URL",
        "-o, --output FORMAT",
        "--api-key KEY",
        "-d, --debug",
        "CREATEOS_SANDBOX_URL",
    ):
        assert flag in out


@pytest.mark.parametrize(
    ("left", "right", "steps"), [("", "", 0), ("list", "list", 0), ("ilst", "list", 2), ("rm", "list", 4), ("a", "", 1)]
)
def test_the_distance_of_words_counts_letters(left: str, right: str, steps: int) -> None:
    assert distance(left, right) == distance(right, left) == steps
