"""Questions on a real terminal, with arrow keys. Drawn on standard error, so that stdout carries results only.

Imported only when something is about to be asked: questionary alone costs more than a whole `exec`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import questionary
from prompt_toolkit.input.defaults import create_input
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.output.defaults import create_output

from createos_cli.errors import Cancelled
from createos_cli.formats import printable

# Above this many choices typing narrows them down.
FILTERED_FROM = 10


class Questions:
    """Asks with questionary. Ctrl-C and Ctrl-D raise Cancelled."""

    def __init__(self, *, colour: bool, on_stderr: bool) -> None:
        """*on_stderr* says whether standard error is a terminal; standard output is used when it is not."""
        self._terminal: dict[str, Any] = {
            "input": create_input(sys.stdin),
            "output": create_output(stdout=sys.stderr if on_stderr else sys.stdout),
            "color_depth": None if colour else ColorDepth.DEPTH_1_BIT,
        }

    def ask(self, question: str, default: str) -> str:
        """Return a line."""
        return str(_answer(questionary.text(question, default=default, **self._terminal))).strip()

    def path(self, question: str) -> str:
        """Return the path of a file, completed with the tab key; `~` stands for the home directory."""
        text = str(_answer(questionary.path(question, **self._terminal))).strip()
        return str(Path(text).expanduser()) if text else ""

    def agree(self, question: str, *, default: bool) -> bool:
        """Return whether the answer is yes."""
        return bool(_answer(questionary.confirm(question, default=default, **self._terminal)))

    def secret(self, question: str) -> str:
        """Return a line that is not shown while it is typed."""
        return str(_answer(questionary.password(question, **self._terminal))).strip()

    def choose(self, title: str, choices: Sequence[str]) -> int:
        """Return the place of the chosen one."""
        many = len(choices) >= FILTERED_FROM
        told = "(arrow keys, enter; type to narrow down)" if many else "(arrow keys, enter)"
        question = questionary.select(
            title,
            _numbered(choices),
            instruction=told,
            use_search_filter=many,
            use_jk_keys=not many,
            **self._terminal,
        )
        return int(_answer(question))

    def choose_several(self, title: str, choices: Sequence[str]) -> list[int]:
        """Return the places of the chosen ones, possibly none."""
        told = "(space selects, enter confirms; none is fine)"
        question = questionary.checkbox(title, _numbered(choices), instruction=told, **self._terminal)
        return [int(place) for place in _answer(question)]


def _numbered(choices: Sequence[str]) -> list[questionary.Choice]:
    return [questionary.Choice(printable(text), value=place) for place, text in enumerate(choices)]


def _answer(question: questionary.Question) -> Any:
    try:
        return question.unsafe_ask()
    except (KeyboardInterrupt, EOFError) as exc:
        raise Cancelled from exc
