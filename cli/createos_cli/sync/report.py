"""What the user sees of a synchronisation: a status line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from time import monotonic

from createos_cli.formats import printable, size
from createos_cli.output import Output
from createos_cli.sync.entries import Side
from createos_cli.sync.outcome import Outcome

MOST_NAMED = 10
_STATUS_EVERY_S = 0.1
_ERASE_LINE = "\r\x1b[K"


class Report:
    """Tells of passes. *say* prints a line, *status* is whether a terminal can be drawn on, *quiet* keeps errors."""

    def __init__(self, output: Output, say: Callable[[str], None], *, status: bool, quiet: bool) -> None:
        self._output = output
        self._print = say
        self._status = status and not quiet
        self._quiet = quiet
        self._drawn_s = 0.0
        self._drawn = False
        self._problems: dict[tuple[Side, str], str] = {}
        self._remarks: dict[tuple[Side, str], str] = {}

    def say(self, line: str) -> None:
        """Print a line unless it is to be quiet."""
        if not self._quiet:
            self._erase()
            self._print(printable(line))

    def warn(self, line: str) -> None:
        """Print a line on stderr, also when it is to be quiet."""
        self._erase()
        self._output.remark(line)

    def progress(self, outcome: Outcome) -> None:
        """Show what has been done so far."""
        if self._status and monotonic() - self._drawn_s > _STATUS_EVERY_S:
            moved = size(outcome.sent_bytes + outcome.received_bytes)
            self._draw(f"Synchronising: {outcome.sent} sent, {outcome.received} received, {moved}")

    def passed(self, outcome: Outcome, files: int, took_s: float) -> None:
        """Tell what a pass did, and what it could not do when that is new."""
        if outcome.did_something:
            self.say(f"{time.strftime('%H:%M:%S')}  {_sentence(outcome)} in {took_s:.1f} s")
        for path, copy in outcome.conflicts.items():
            self.warn(f"Conflict: {path} was changed on both sides; the sandbox's copy is now {copy}")
        self._tell_new(outcome.problems, self._problems, "not synchronised")
        self._tell_new(outcome.remarks, self._remarks, "skipped")
        self._problems, self._remarks = dict(outcome.problems), dict(outcome.remarks)
        if self._status:
            left = f", {len(outcome.problems)} problems" if outcome.problems else ""
            self._draw(f"Watching {files} files{left} (Ctrl-C stops)")

    def lost(self, why: str, wait_s: float) -> None:
        """Tell that the connection is gone and will be tried again."""
        text = f"No connection to the sandbox ({why}); trying again"
        if self._status:
            self._draw(f"{text} in {wait_s:.0f} s")
        else:
            self.say(text)

    def end(self) -> None:
        """Leave a clean line."""
        self._erase()

    def _tell_new(self, now: dict[tuple[Side, str], str], before: dict[tuple[Side, str], str], what: str) -> None:
        new = [key for key, why in now.items() if before.get(key) != why]
        for side, path in new[:MOST_NAMED]:
            where = "here" if side is Side.LOCAL else "in the sandbox"
            self.warn(f"{path} ({where}) is {what}: {now[side, path]}")
        if len(new) > MOST_NAMED:
            self.warn(f"… and {len(new) - MOST_NAMED} more")

    def _draw(self, text: str) -> None:
        line = printable(text)[: self._output.columns - 1]
        self._output.write_error(f"{_ERASE_LINE}{line}".encode(errors="replace"))
        self._drawn, self._drawn_s = True, monotonic()

    def _erase(self) -> None:
        if self._drawn:
            self._output.write_error(_ERASE_LINE.encode())
            self._drawn = False


def _sentence(outcome: Outcome) -> str:
    parts = [
        (outcome.sent, f"{outcome.sent} sent ({size(outcome.sent_bytes)})"),
        (outcome.received, f"{outcome.received} received ({size(outcome.received_bytes)})"),
        (outcome.renamed, f"{outcome.renamed} renamed"),
        (outcome.removed, f"{outcome.removed} removed"),
        (outcome.other, f"{outcome.other} other changes"),
        (len(outcome.conflicts), f"{len(outcome.conflicts)} conflicts"),
    ]
    return ", ".join(text for count, text in parts if count)
