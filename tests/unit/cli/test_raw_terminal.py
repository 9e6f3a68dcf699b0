"""A terminal that a program in a sandbox has for a while."""

from __future__ import annotations

import os
import pty
import select
import termios

from createos_cli.terminal import raw

PATIENCE_S = 10


def read(descriptor: int) -> bytes:
    """Return what was typed, or nothing when nothing comes."""
    ready, _, _ = select.select([descriptor], [], [], PATIENCE_S)
    return os.read(descriptor, 100) if ready else b""


def test_what_is_typed_ahead_reaches_the_program_and_what_is_typed_behind_it_the_next_one() -> None:
    keyboard, terminal = pty.openpty()
    before = termios.tcgetattr(terminal)
    os.write(keyboard, b"ahead\n")
    select.select([terminal], [], [], PATIENCE_S)

    with raw(terminal):
        program = read(terminal)
        os.write(keyboard, b"behind\n")
        select.select([terminal], [], [], PATIENCE_S)

    assert (program, read(terminal)) == (b"ahead\n", b"behind\n")
    assert termios.tcgetattr(terminal) == before
    for descriptor in (keyboard, terminal):
        os.close(descriptor)
