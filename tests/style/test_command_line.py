"""The page of commands knows every command, and its recorded session is one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import typer.main
from createos_cli.app import build
from createos_cli.completion.tree import Entry, read

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "command-line.md").read_text()
COMMANDS = [entry for entry in read(typer.main.get_command(build())).walk() if entry.path and not entry.children]


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.path)
def test_every_command_is_on_the_page(entry: Entry) -> None:
    assert f"`createos {entry.path}`" in PAGE


def test_no_command_on_the_page_is_one_that_is_not_there() -> None:
    named = set(re.findall(r"^\| (`createos .*?) \|", PAGE, re.MULTILINE))
    words = {word for cell in named for word in re.findall(r"`createos ([a-z -]+)`", cell)}

    assert words - {entry.path for entry in COMMANDS} == set()


def test_the_recorded_session_is_an_asciicast() -> None:
    head, *events = (json.loads(line) for line in (DOCS / "images" / "session.cast").read_text().splitlines())
    times = [at for at, _, _ in events]

    assert (head["version"], head["width"] > 0, head["height"] > 0) == (2, True, True)
    assert {kind for _, kind, _ in events} == {"o"}
    assert times == sorted(times)


def test_the_picture_of_it_needs_nothing_from_elsewhere() -> None:
    picture = (DOCS / "images" / "session.svg").read_text()

    assert re.findall(r"https?://[^\"' ]+", picture) == ["http://www.w3.org/2000/svg"]
