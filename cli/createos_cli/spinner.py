"""A sign of life on standard error while a request takes its time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from time import monotonic
from typing import BinaryIO

FRAMES = "|/-\\"
FIRST_S = 0.3
STEP_S = 0.15
ERASE_LINE = "\r\x1b[K"


@contextmanager
def spinning(stream: BinaryIO, text: str) -> Iterator[None]:
    """Show *text* and the seconds gone by until the block ends; nothing at all when that is within 0.3 s."""
    done = Event()
    thread = Thread(target=_spin, args=(stream, text, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _spin(stream: BinaryIO, text: str, done: Event) -> None:
    began = monotonic()
    turn, shown = 0, False
    while not done.wait(STEP_S if shown else FIRST_S):
        _draw(stream, f"{ERASE_LINE}{FRAMES[turn % len(FRAMES)]} {text} ({monotonic() - began:.0f} s)")
        turn, shown = turn + 1, True
    if shown:
        _draw(stream, ERASE_LINE)


def _draw(stream: BinaryIO, text: str) -> None:
    stream.write(text.encode())
    stream.flush()
