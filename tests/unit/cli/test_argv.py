from __future__ import annotations

import pytest
from createos_cli.argv import hoist_exec, read_globals, split_globals
from createos_cli.commands.exec import plain_call
from createos_cli.errors import Usage
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("line", "flags", "words"),
    [
        ("sandbox list", {}, "sandbox list"),
        ("sandbox list -o json", {"output": "json"}, "sandbox list"),
        ("-o json sandbox list", {"output": "json"}, "sandbox list"),
        ("sandbox --output=json list --all", {"output": "json"}, "sandbox list --all"),
        ("sb get box -output json", {"output": "json"}, "sb get box"),
        ("sb ls -d --api-key k", {"debug": "true", "api-key": "k"}, "sb ls"),
        ("sb ls --debug=false", {"debug": "false"}, "sb ls"),
        ("--sandbox-api-url unix:///s sb ls", {"sandbox-api-url": "unix:///s"}, "sb ls"),
        ("sb exec box -o json -- ls -o x -d", {"output": "json"}, "sb exec box -- ls -o x -d"),
        ("sb exec -o json box ls -d -o x", {"output": "json"}, "sb exec box ls -d -o x"),
        ("sb exec box --env -d ls -d", {}, "sb exec box --env -d ls -d"),
        ("sb exec --env A=1 box -s -d ls -d", {"debug": "true"}, "sb exec --env A=1 box -s ls -d"),
        ("sb exec -- ls -d", {}, "sb exec -- ls -d"),
        ("sb exec --stdin - box cat -d", {}, "sb exec --stdin - box cat -d"),
        ("sb rm box -yes", {}, "sb rm box --yes"),
        ("sb rm box -force", {}, "sb rm box --force"),
        ("help", {}, "--help"),
        ("help sandbox", {}, "sandbox --help"),
        ("sandbox help list", {}, "sandbox list --help"),
        ("", {}, ""),
    ],
)
def test_global_flags_are_honoured_anywhere_but_in_the_command_of_exec(
    line: str, flags: dict[str, str], words: str
) -> None:
    assert split_globals(line.split()) == (flags, words.split())


@pytest.mark.parametrize("line", ["sb ls -o", "sb ls --output", "sb exec box --output -- ls", "--api-key"])
def test_a_global_flag_without_its_value_is_a_usage_error(line: str) -> None:
    with pytest.raises(Usage, match="needs a value"):
        split_globals(line.split())


def test_a_flag_wins_over_its_variable_and_the_first_variable_set_wins() -> None:
    environ = {"CREATEOS_OUTPUT": "table", "CREATEOS_API_KEY": "", "CREATEOS_PLAN_API_KEY": "plan"}

    flags = read_globals({"output": "json"}, environ)

    assert (flags.output, flags.api_key) == ("json", "plan")


@pytest.mark.parametrize(("told", "debug"), [("1", True), ("true", True), ("0", False), ("false", False), ("", False)])
def test_the_debug_variable_reads_as_a_truth_value(told: str, debug: bool) -> None:
    assert read_globals({}, {"CREATEOS_DEBUG": told}).debug is debug


@pytest.mark.parametrize(
    ("line", "flags", "sandbox", "command"),
    [
        ("box -- uname -a", "", "box", "uname -a"),
        ("box uname -a", "", "box", "uname -a"),
        ("box --stream -- ls --stream", "--stream", "box", "ls --stream"),
        ("--env A=1 box -s ls -s", "--env A=1 -s", "box", "ls -s"),
        ("box --env A=1 --stdin f ls", "--env A=1 --stdin f", "box", "ls"),
        ("-- ls -l", "", "", "ls -l"),
        ("box -- -- ls", "", "box", "-- ls"),
        ("box ls -- -l", "", "box", "ls -- -l"),
        ("box", "", "box", ""),
        ("", "", "", ""),
    ],
)
def test_exec_words_are_parted_into_flags_sandbox_and_program(
    line: str, flags: str, sandbox: str, command: str
) -> None:
    assert hoist_exec(line.split()) == (flags.split(), sandbox, command.split())


words = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=8)


@given(st.lists(words, min_size=1), st.booleans(), st.lists(words.filter(lambda word: "=" not in word), max_size=2))
def test_the_program_and_its_arguments_arrive_untouched(command: list[str], last: bool, keys: list[str]) -> None:
    flags = [part for key in keys for part in ("--env", f"{key}=v")]
    tokens = ["box", *flags, "--", *command] if last else [*flags, "box", "--", *command]

    _, kept = split_globals(["sandbox", "exec", *tokens])
    call = plain_call(kept[2:])

    assert call is not None
    assert call.command == tuple(command)
    assert call.sandbox == "box"


@pytest.mark.parametrize(
    "line", ["box", "", "-- ls", "--help", "box --help", "--bogus box -- ls", "box --env", "box -x ls"]
)
def test_incomplete_or_unknown_words_of_exec_are_left_to_the_parser(line: str) -> None:
    assert plain_call(line.split()) is None
