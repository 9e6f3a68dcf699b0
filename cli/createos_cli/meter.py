"""How far a transfer is: a bar on a terminal, with rate and time left, and the figures at the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from time import monotonic
from typing import BinaryIO

from createos_cli.formats import size as shown_size
from createos_cli.spinner import ERASE_LINE

FIRST_S, STEP_S = 0.5, 0.1
BAR_CELLS = 20
LONGEST_NAME = 30


class Meter:
    """Counts pieces on their way; draws on *stream* unless that is None. *total* is None when nobody knows it."""

    def __init__(self, name: str, total: int | None, stream: BinaryIO | None) -> None:
        self._name = name if len(name) <= LONGEST_NAME else f"…{name[1 - LONGEST_NAME :]}"
        self._total = total
        self._stream = stream
        self._began = monotonic()
        self._drawn_s = self._began + FIRST_S - STEP_S
        self._shown = False
        self.bytes = 0

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return max(monotonic() - self._began, 1e-6)

    @property
    def summary(self) -> str:
        """Size, time and average speed."""
        return f"{shown_size(self.bytes)} in {self.seconds:.1f} s, {shown_size(self.bytes / self.seconds)}/s"

    def through(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the pieces and count them."""
        try:
            for piece in pieces:
                yield piece
                self.count(len(piece))
        finally:
            self.erase()

    def expect(self, total: int) -> None:
        """Say how much it will be."""
        self._total = total

    def count(self, size: int) -> None:
        """Add what has gone."""
        self.bytes += size
        self._tick()

    def erase(self) -> None:
        """Leave a clean line."""
        if self._shown and self._stream:
            self._stream.write(ERASE_LINE.encode())
            self._stream.flush()

    def _tick(self) -> None:
        now = monotonic()
        if self._stream is None or now - self._drawn_s < STEP_S:
            return
        self._drawn_s, self._shown = now, True
        self._stream.write(f"{ERASE_LINE}{self._line()}".encode(errors="replace"))
        self._stream.flush()

    def _line(self) -> str:
        rate = self.bytes / self.seconds
        if not self._total:
            return f"{self._name}  {shown_size(self.bytes)}  {shown_size(rate)}/s"
        done = min(self.bytes / self._total, 1.0)
        bar = ("█" * round(done * BAR_CELLS)).ljust(BAR_CELLS, "░")
        left = (self._total - self.bytes) / rate if rate else 0
        return f"{self._name}  {bar} {done:4.0%}  {shown_size(rate)}/s  {left:.0f} s left"
