"""Everything that is printed. Commands hand over a document and its prose; which one is shown is decided here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import BinaryIO

from createos_cli.errors import CliError, OutputClosed
from createos_cli.formats import printable
from createos_cli.surroundings import Surroundings

UNKNOWN_WIDTH = 120
NO_STYLES: Mapping[str, str] = {}
ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
STYLES = {"bold": "1", "grey": "90", "red": "31", "green": "32", "yellow": "33"}


class Output:
    """Where a run's words go: the document or prose on stdout, remarks and failures on stderr."""

    def __init__(self, around: Surroundings, *, as_json: bool) -> None:
        self._around = around
        self._colour = around.stdout_is_terminal and not around.environ.get("NO_COLOR")
        self.as_json = as_json

    @property
    def limit(self) -> int:
        """How wide a table may be (cli-behaviour 1.4)."""
        return UNKNOWN_WIDTH if self._around.columns is None else max(self._around.columns - 2, 1)

    @property
    def columns(self) -> int:
        """The width of the terminal, 120 when there is none."""
        return self._around.columns or UNKNOWN_WIDTH

    def show(self, document: object, prose: Iterable[str]) -> None:
        """Print the result: *document* as JSON, or *prose* line by line (made only when it is wanted)."""
        self.lines([to_json(document)] if self.as_json else prose)

    def lines(self, texts: Iterable[str]) -> None:
        """Print lines on stdout, whatever the format."""
        self.write("".join(f"{text}\n" for text in texts).encode(errors="replace"))

    def write(self, data: bytes) -> None:
        """Pass bytes to stdout unchanged and at once."""
        _write(self._around.stdout, data)

    def write_error(self, data: bytes) -> None:
        """Pass bytes to stderr unchanged and at once."""
        _write(self._around.stderr, data)

    def remark(self, text: str) -> None:
        """Say something on stderr that belongs to no result."""
        self.write_error(f"{printable(text)}\n".encode(errors="replace"))

    def cancelled(self) -> None:
        """Say that nothing was done because the user did not want it."""
        self.remark("Cancelled.") if self.as_json else self.lines(["Cancelled."])

    def fail(self, error: CliError) -> None:
        """Print a failure: the envelope of cli-behaviour 1.5 in JSON, a sentence and a hint otherwise."""
        if self.as_json:
            parts = {"code": error.code, "message": error.message, "hint": error.hint}
            self.lines([to_json({"error": {key: text for key, text in parts.items() if text}})])
            return
        self.fail_line(error.message)
        if error.hint:
            self.remark(f"  {error.hint}")

    def fail_line(self, message: str) -> None:
        """Print one failure among several on stderr."""
        painted = self.paint("Error:", "red") if self._around.stderr_is_terminal else "Error:"
        self.write_error(f"{painted} {printable(message)}\n".encode(errors="replace"))

    def waiting(self, text: str) -> AbstractContextManager[None]:
        """Show a spinner for the duration of the block, where there is somebody to see it."""
        if not (self._around.stdout_is_terminal and self._around.stderr_is_terminal):
            return nullcontext()
        from createos_cli.spinner import spinning

        return spinning(self._around.stderr, text)

    def paint(self, text: str, style: str) -> str:
        """Colour a text when colours are on."""
        return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if self._colour and style else text

    def facts(self, rows: Sequence[tuple[str, str]], styles: Mapping[str, str] = NO_STYLES) -> list[str]:
        """Return `Name  value` lines in two columns, without the rows that have no value; *styles* colours by name."""
        kept = [(name, printable(value)) for name, value in rows if value]
        width = max((len(name) for name, _ in kept), default=0)
        return [
            f"  {self.paint(name.ljust(width), 'grey')}  {self.paint(value, styles.get(name, ''))}"
            for name, value in kept
        ]


def to_json(document: object) -> str:
    """Write JSON as Go's encoder does: two spaces, `<`, `>` and `&` escaped, other text as it is."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    return text.translate({ord(char): escape for char, escape in ESCAPES.items()})


def _write(stream: BinaryIO, data: bytes) -> None:
    try:
        stream.write(data)
        stream.flush()
    except BrokenPipeError as exc:
        raise OutputClosed from exc
