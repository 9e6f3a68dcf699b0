"""How a long step tells what it is doing."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str], None]
"""Takes one human line at the start of each step that can last longer than a second."""


def silent(_line: str) -> None:
    """Tell nobody."""
