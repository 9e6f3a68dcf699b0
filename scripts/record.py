"""Record a terminal session of a real engine for the documentation: an asciicast (version 2) and a picture of it.

    sudo .venv/bin/createosd ephemeral --netns -- .venv/bin/python scripts/record.py docs/images/session

The commands are typed into a shell on a terminal of their own; what they print, and when, is what is recorded.
"""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pexpect
from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

COLUMNS, ROWS = 100, 30
PROMPT = "\x1b[32m$\x1b[0m "
DEADLINE_S, KEY_S = 180, 0.03
# A person who watches need not wait longer than this for a machine.
LONGEST_PAUSE_S = 1.5
# What is typed, and what the screen shows when it has been answered.
SESSION: Sequence[tuple[str, str]] = (
    ("createos sandbox create --shape s-1vcpu-256mb --name demo", PROMPT),
    ("createos sandbox exec demo -- uname -a", PROMPT),
    ("createos sandbox push demo ./site /srv/site", PROMPT),
    ("createos sandbox shell demo", "# "),
    ("ls -R /srv/site; hostname", "demo\r\n"),
    ("exit", PROMPT),
    ("createos sandbox firewall set demo example.org:443", PROMPT),
    ("createos sandbox firewall explain demo example.com:443", PROMPT),
    ("createos sandbox pause demo", PROMPT),
    ("createos sandbox fork demo", PROMPT),
    ("createos sandbox list", PROMPT),
    ("createos sandbox rm $(createos sandbox list --all --quiet) --force", PROMPT),
)
PICTURE = """<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img">
<style>.{unique_id}-matrix {{ font: {char_height}px/{line_height}px monospace; white-space: pre; }} {styles}</style>
<defs><clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}</defs>
<rect width="100%" height="100%" rx="8" fill="#0c0c0c"/>
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g></g></svg>
"""


class Recorder:
    """A terminal whose output is kept with the time at which it came."""

    def __init__(self, home: Path) -> None:
        environ = {**os.environ, "HOME": str(home), "TERM": "xterm-256color", "PS1": PROMPT, "LANG": "C.UTF-8"}
        environ["PATH"] = f"{Path(sys.executable).parent}:{environ['PATH']}"
        argv = ["--norc", "--noprofile", "--noediting"]
        self.events: list[tuple[float, str]] = []
        self._seen = ""
        self._clock_s, self._last_s = 0.0, time.monotonic()
        self._shell = pexpect.spawn(
            "bash", argv, env=environ, cwd=str(home), dimensions=(ROWS, COLUMNS), encoding="utf-8", timeout=DEADLINE_S
        )

    def until(self, text: str) -> None:
        """Record until *text* has come."""
        end = time.monotonic() + DEADLINE_S
        while text not in self._seen:
            if time.monotonic() > end:
                raise TimeoutError(f"{text!r} did not appear in:\n{self._seen}")
            self._read(1.0)
        self._seen = ""

    def keys(self, text: str) -> None:
        """Type as a person does; what is echoed is recorded."""
        for key in f"{text}\r":
            self._shell.send(key)
            self._read(KEY_S)
        self._seen = ""

    def end(self) -> None:
        """Leave the shell."""
        self._shell.sendline("exit")
        self._shell.close()

    def _read(self, wait_s: float) -> None:
        try:
            text = self._shell.read_nonblocking(65_536, timeout=wait_s)
        except pexpect.TIMEOUT:
            return
        now = time.monotonic()
        self._clock_s += min(now - self._last_s, LONGEST_PAUSE_S)
        self._last_s = now
        self._seen += text
        self.events.append((round(self._clock_s, 3), text))


def main(target: Path) -> None:
    """Play the session and write its two files."""
    with tempfile.TemporaryDirectory(prefix="createos-record-") as directory:
        home = Path(directory)
        (home / "site").mkdir()
        (home / "site" / "index.html").write_text("<h1>hello</h1>\n")
        (home / "site" / "main.css").write_text("h1 { color: teal }\n")
        recorder = Recorder(home)
        recorder.until(PROMPT)
        for typed, shown in SESSION:
            recorder.keys(typed)
            recorder.until(shown)
        recorder.end()
    target.with_suffix(".cast").write_text(asciicast(recorder.events))
    target.with_suffix(".svg").write_text(picture("".join(text for _, text in recorder.events)))


def asciicast(events: Sequence[tuple[float, str]]) -> str:
    """Return the events as asciinema's format, version 2."""
    head = {
        "version": 2,
        "width": COLUMNS,
        "height": ROWS,
        "title": "createos sandbox",
        "env": {"TERM": "xterm-256color"},
    }
    lines = [json.dumps(head), *(json.dumps([at, "o", text]) for at, text in events)]
    return "\n".join(lines) + "\n"


def picture(transcript: str) -> str:
    """Return the whole session, as if the terminal were high enough, as SVG without fonts from elsewhere."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi(transcript.replace("\r\n", "\n").removesuffix(PROMPT).rstrip("\n")))
    return console.export_svg(title="", theme=SVG_EXPORT_THEME, code_format=PICTURE, unique_id="session")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
