"""Tables that fit the terminal. Pure: rows in, lines out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from unicodedata import combining, east_asian_width

from createos_cli.formats import printable

GAP = "  "
SHORTENED = "..."
NARROWEST = 4


@dataclass(frozen=True)
class Column:
    """A heading, and how a finished cell is coloured, if at all."""

    title: str
    paint: Callable[[str], str] = str


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]], limit: int) -> list[str]:
    """Return a header and the rows, none wider than *limit* as long as the headings allow it (cli-behaviour 1.4)."""
    cells = [[_one_line(cell) for cell in row] for row in rows]
    widths = _fit(columns, cells, limit)
    header = GAP.join(_pad(column.title, width) for column, width in zip(columns, widths, strict=True)).rstrip()
    return [header, *(_line(columns, row, widths) for row in cells)]


def width_of(text: str) -> int:
    """Return the terminal columns a text takes."""
    return sum(0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text)


def shorten(text: str, width: int) -> str:
    """Cut a text to *width* columns, ending in `...` when something is missing."""
    if width_of(text) <= width:
        return text
    while text and width_of(text) > width - len(SHORTENED):
        text = text[:-1]
    return text + SHORTENED


def _fit(columns: Sequence[Column], cells: Sequence[Sequence[str]], limit: int) -> list[int]:
    floors = [max(width_of(column.title), NARROWEST) for column in columns]
    widths = [
        max([width_of(column.title), *(width_of(row[place]) for row in cells)]) for place, column in enumerate(columns)
    ]
    room = limit - len(GAP) * (len(columns) - 1)
    while sum(widths) > room:
        shrinkable = [place for place, width in enumerate(widths) if width > floors[place]]
        if not shrinkable:
            break
        widths[max(shrinkable, key=widths.__getitem__)] -= 1
    return widths


def _line(columns: Sequence[Column], row: Sequence[str], widths: Sequence[int]) -> str:
    fitted = [_pad(shorten(cell, width), width) for cell, width in zip(row, widths, strict=True)]
    fitted[-1] = fitted[-1].rstrip()
    return GAP.join(column.paint(cell) for column, cell in zip(columns, fitted, strict=True)).rstrip()


def _pad(text: str, width: int) -> str:
    return text + " " * (width - width_of(text))


def _one_line(text: str) -> str:
    return " ".join(printable(text).split()) or "-"
