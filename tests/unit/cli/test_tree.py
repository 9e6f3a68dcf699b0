"""Every command, whoever adds it: one line that says what it does, examples to type, flags with a sentence."""

from __future__ import annotations

import shlex

import pytest
import typer.main
from createos_cli.app import build
from createos_cli.completion.tree import Entry, read

from tests.unit.cli.conftest import Cli

TREE = read(typer.main.get_command(build()))
COMMANDS = [entry for entry in TREE.walk() if entry.path]
every_command = pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.path)


@every_command
def test_it_says_in_one_line_what_it_does(entry: Entry) -> None:
    assert 10 <= len(entry.sentence) <= 75, entry.sentence
    assert entry.sentence[0].isupper()


@every_command
def test_its_help_has_examples_of_itself(cli: Cli, entry: Entry) -> None:
    out = cli(*entry.path.split(), "--help").out
    examples = out.partition("Examples")[2].splitlines()[1:]

    lines = [line.strip() for line in examples if line.strip()]
    assert lines, out
    assert any(line.startswith("createos ") or "createos " in line for line in lines), lines
    for line in lines:
        assert shlex.split(line, comments=True), line


@every_command
def test_its_help_fits_a_hundred_columns(cli: Cli, entry: Entry) -> None:
    assert [line for line in cli(*entry.path.split(), "--help").out.splitlines() if len(line) > 100] == []


@every_command
def test_its_flags_and_its_words_are_explained(entry: Entry) -> None:
    assert [flag.names for flag in entry.flags if not flag.sentence and "--help" not in flag.names] == []


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("sandbx", "sandbox"),
        ("sandbox lst", "list"),
        ("sandbox creat", "create"),
        ("sandbox dlete", "delete"),
        ("sandbox edti", "edit"),
        ("self pasue", "pause"),
        ("completions", "completion"),
    ],
)
def test_a_misspelt_command_gets_the_nearest_one(cli: Cli, typed: str, meant: str) -> None:
    ran = cli(*typed.split(), terminal=True)

    assert ran.code == 1
    assert f"did you mean '{meant}'?" in ran.err


@pytest.mark.parametrize("typed", ["xyzzy", "sandbox frobnicate", "__secret"])
def test_what_resembles_nothing_gets_no_guess(cli: Cli, typed: str) -> None:
    ran = cli(*typed.split(), terminal=True)

    assert ran.code == 1
    assert "did you mean" not in ran.err
    assert "--help" in ran.err
