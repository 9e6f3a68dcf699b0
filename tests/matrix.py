"""The isolation matrix of docs/security.md: what was tried, at which moment, and what showed that it holds."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SECURITY_PAGE = Path(__file__).parents[1] / "docs" / "security.md"
MOMENTS = (
    "first packet",
    "rule change",
    "pause and resume",
    "fork",
    "daemon killed",
    "daemon down",
)
_TITLES = {False: "must fail", True: "must succeed"}
_UNTESTED = "–"


@dataclass(frozen=True)
class Cell:
    """One test's contribution. `how` is guest or packets, `held` whether it came out as it must."""

    attempt: str
    moment: str
    succeeds: bool = False
    how: str = "packets"
    held: bool = True

    def __post_init__(self) -> None:
        assert self.moment in MOMENTS, f"{self.moment} is none of {MOMENTS}"


Row = dict[str, set[str]]


class Matrix:
    """Rows by what must happen and what is tried; each holds, by moment, the words of its cell."""

    def __init__(self) -> None:
        self._rows: dict[bool, dict[str, Row]] = {False: {}, True: {}}

    @classmethod
    def of_page(cls, text: str) -> Matrix:
        """Read the tables of a page."""
        matrix = cls()
        for succeeds, title in _TITLES.items():
            for line in _between(text, title).splitlines()[2:]:
                attempt, *cells = [cell.strip() for cell in line.strip("|").split("|")]
                row = matrix._rows[succeeds].setdefault(attempt, {})
                for moment, cell in zip(MOMENTS, cells, strict=True):
                    row[moment] = set() if cell == _UNTESTED else set(cell.split(", "))
        return matrix

    def with_cells(self, cells: Iterable[Cell]) -> Matrix:
        """Put in what was seen; a test that failed is shown as that, whatever others have shown."""
        seen: dict[tuple[bool, str, str, str], bool] = {}
        for cell in cells:
            key = cell.succeeds, cell.attempt, cell.moment, cell.how
            seen[key] = seen.get(key, True) and cell.held
        for (succeeds, attempt, moment, how), held in seen.items():
            words = self._rows[succeeds].setdefault(attempt, {}).setdefault(moment, set())
            words -= {how, f"**{how}: no**"}
            words.add(how if held else f"**{how}: no**")
        return self

    def into_page(self, text: str) -> str:
        """Return the page with its tables written anew."""
        for succeeds, title in _TITLES.items():
            # With its mark: two tables that have no rows yet are alike.
            mark = f"<!-- {title} -->\n"
            text = text.replace(f"{mark}{_between(text, title)}", f"{mark}{self._table(succeeds)}")
        return text

    def _table(self, succeeds: bool) -> str:
        heads = "| what a sandbox tries | " + " | ".join(MOMENTS) + " |\n|" + "---|" * (len(MOMENTS) + 1) + "\n"
        lines = []
        for attempt, row in sorted(self._rows[succeeds].items()):
            cells = [", ".join(sorted(row.get(moment, ()))) or _UNTESTED for moment in MOMENTS]
            lines.append(f"| {attempt} | {' | '.join(cells)} |\n")
        return heads + "".join(lines)


def _between(text: str, title: str) -> str:
    found = re.search(rf"<!-- {title} -->\n(.*?)<!-- end -->", text, re.DOTALL)
    assert found, f"the page has no place for what {title}"
    return found[1]
