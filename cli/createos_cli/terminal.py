"""The user's terminal while a program in a sandbox has it: raw, and put back on every way out."""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

PIECE_BYTES = 65_536
_HEAD = struct.Struct(">BI")
_SIZE = struct.Struct(">HH")
_INPUT, _RESIZE = 0, 1
# What puts a terminal right whose program was cut off: cursor shown, main screen, no mouse, no bracketed paste.
_RESET = b"\x1b[?25h\x1b[?1049l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?2004l\x1b[0m"


@contextmanager
def raw(descriptor: int) -> Iterator[None]:
    """Hand every key to the program; the terminal is as it was when the block ends, whatever ends it.

    TERM and HUP end the block, too: a killed client leaves no broken terminal. Nothing that was typed ahead is lost, in
    either direction.
    """
    before = termios.tcgetattr(descriptor)
    handlers = {number: signal.signal(number, _leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        tty.setraw(descriptor, termios.TCSADRAIN)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def attach(link: socket.socket, first: bytes, stdin: int, stdout: int) -> None:
    """Carry keys, sizes and output until either side ends (frames of wire-api 9.2); raises ConnectionError."""
    wake, changed = os.pipe()
    before = signal.signal(signal.SIGWINCH, lambda *_: os.write(changed, b"x"))
    try:
        link.sendall(_resize())
        _write(stdout, first)
        _carry(link, stdin, stdout, wake)
    finally:
        signal.signal(signal.SIGWINCH, before)
        os.close(wake)
        os.close(changed)


def tidy(stdout: int) -> None:
    """Undo what a program that was cut off may have left on the screen."""
    if os.isatty(stdout):
        _write(stdout, _RESET)


def _carry(link: socket.socket, stdin: int, stdout: int, wake: int) -> None:
    watched: list[socket.socket | int] = [link, stdin, wake]
    while True:
        ready, _, _ = select.select(watched, [], [])
        if wake in ready:
            os.read(wake, PIECE_BYTES)
            link.sendall(_resize())
        if link in ready:
            output = link.recv(PIECE_BYTES)
            if not output:
                return
            _write(stdout, output)
        if stdin in ready:
            keys = os.read(stdin, PIECE_BYTES)
            if keys:
                link.sendall(_HEAD.pack(_INPUT, len(keys)) + keys)
            else:
                watched.remove(stdin)
                link.shutdown(socket.SHUT_WR)


def _resize() -> bytes:
    size = os.get_terminal_size(sys.stdin.fileno())
    return _HEAD.pack(_RESIZE, _SIZE.size) + _SIZE.pack(min(size.lines, 65_535), min(size.columns, 65_535))


def _write(stdout: int, data: bytes) -> None:
    while data:
        data = data[os.write(stdout, data) :]


def _leave(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)
