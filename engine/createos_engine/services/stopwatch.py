"""How long the steps of one piece of work took."""

from __future__ import annotations

from time import perf_counter


class Stopwatch:
    """How long each step took, in milliseconds, by its name with `_ms` behind it."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._begun = perf_counter()

    def lap(self, name: str) -> None:
        """End a step."""
        now = perf_counter()
        self.laps[f"{name}_ms"] = round((now - self._begun) * 1000, 1)
        self._begun = now
