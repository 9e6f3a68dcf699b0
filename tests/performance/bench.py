"""What every measurement gets and returns. A module of figures has `measure(bench)`; `__main__.py` lists them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

from tests.vm.engine import Box, LiveEngine

_BAR_WIDTH = 40


@dataclass(frozen=True)
class Figure:
    """One operation and its floor, medians of the same run in *unit*, and the goal for one against the other."""

    what: str
    measured: float
    floor: str
    floor_measured: float
    goal: str
    unit: str = "ms"

    @property
    def ratio(self) -> float:
        """How many times the floor it is."""
        return self.measured / self.floor_measured


@dataclass
class Bench:
    """One engine for the whole run, and a sandbox of each image that somebody measures in, made when first wanted."""

    engine: LiveEngine
    rounds: int
    boxes: dict[str, Box] = field(default_factory=dict)

    def box(self, rootfs: str, **wanted: object) -> Box:
        """Return the shared sandbox of an image."""
        if rootfs not in self.boxes:
            name = f"bench-{len(self.boxes)}"
            self.boxes[rootfs] = self.engine.create(name=name, rootfs=rootfs, **wanted)
        return self.boxes[rootfs]


def timed(action: Callable[[], object]) -> float:
    """Return how long *action* takes, in milliseconds."""
    begun = perf_counter()
    action()
    return (perf_counter() - begun) * 1000


def table(figures: list[Figure]) -> str:
    """Return the figures as a Markdown table, and under it a bar for each operation and its floor."""
    lines = ["| operation | median | floor | median | ratio | goal |", "|---|---:|---|---:|---:|---|"]
    lines += [
        f"| {f.what} | {f.measured:.1f} {f.unit} | {f.floor} | {f.floor_measured:.1f} {f.unit} "
        f"| {f.ratio:.2f} | {f.goal} |"
        for f in figures
    ]
    bars = [bar for f in figures for bar in _bars(f)]
    return "\n".join([*lines, "", *bars, ""])


def _bars(figure: Figure) -> list[str]:
    longest = max(figure.measured, figure.floor_measured)
    pairs = ((figure.what, figure.measured), (figure.floor, figure.floor_measured))
    return [
        f"{name[:40]:40} {'█' * max(1, round(value / longest * _BAR_WIDTH)):{_BAR_WIDTH}} {value:.1f} {figure.unit}"
        for name, value in pairs
    ]
