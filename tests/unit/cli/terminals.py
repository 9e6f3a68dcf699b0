"""A command line on a terminal of its own, and the screen as a person sees it."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pexpect
import pyte

CREATEOS = str(Path(sys.executable).parent / "createos")
UP, DOWN, ENTER, SPACE, CTRL_C, CTRL_D = "\x1b[A", "\x1b[B", "\r", " ", "\x03", "\x04"
DEADLINE_S = 60.0


class Terminal:
    """Runs one command; every key is sent only once the screen shows what it answers to."""

    def __init__(
        self, *argv: str, socket: Path, home: Path, columns: int = 100, rows: int = 30, **environ: str
    ) -> None:
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.Stream(self._screen)
        variables = {
            "TERM": "xterm",
            "PATH": "/usr/bin:/bin",
            "HOME": str(home),
            "CREATEOS_SOCKET": str(socket),
            "LANG": "C.UTF-8",
            **environ,
        }
        self.raw = ""
        self._process = pexpect.spawn(
            CREATEOS, list(argv), env=variables, cwd=str(home), dimensions=(rows, columns), encoding="utf-8", timeout=5
        )

    def screen(self) -> str:
        """Return what the terminal shows."""
        return "\n".join(line.rstrip() for line in self._screen.display).rstrip()

    def until(self, text: str) -> Terminal:
        """Wait until the screen shows a text."""
        end = time.monotonic() + DEADLINE_S
        while text not in self.screen():
            assert time.monotonic() < end, f"{text!r} did not appear in:\n{self.screen()}"
            assert self._read(), f"{text!r} did not appear before the end:\n{self.screen()}"
        return self

    def keys(self, *keys: str) -> Terminal:
        """Press keys."""
        self._process.send("".join(keys))
        return self

    def end(self) -> int:
        """Wait for the end and return the exit code."""
        end = time.monotonic() + DEADLINE_S
        while self._read():
            assert time.monotonic() < end, f"it does not end:\n{self.screen()}"
        self._process.close()
        return int(self._process.exitstatus if self._process.exitstatus is not None else -1)

    def _read(self) -> bool:
        try:
            text = self._process.read_nonblocking(4096, timeout=0.2)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        self.raw += text
        self._stream.feed(text)
        if "\x1b[6n" in text:
            row, column = self._screen.cursor.y + 1, self._screen.cursor.x + 1
            self._process.send(f"\x1b[{row};{column}R")
        return True
