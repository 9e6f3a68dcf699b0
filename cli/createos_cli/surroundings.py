"""What the process stands in: streams, environment, home. One object, so that a test can build another."""

from __future__ import annotations

import os
import select
import stat
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from createos_cli.profile import Endpoint
from createos_cli.wire import Transport


@dataclass(frozen=True)
class Surroundings:
    """The world of one run.

    *columns* is the terminal's width, None when there is no terminal. *stdin_is_piped* is true for pipes, sockets
    and files, not for terminals and devices such as /dev/null.
    """

    environ: Mapping[str, str]
    home: Path
    stdin: BinaryIO
    stdout: BinaryIO
    stderr: BinaryIO
    stdin_is_piped: bool
    stdout_is_terminal: bool
    stderr_is_terminal: bool
    columns: int | None
    connect: Callable[[Endpoint], Transport]
    stdin_is_terminal: bool = False

    def stdin_is_silent(self, wait_s: float) -> bool:
        """Wait up to *wait_s* for the first byte or the end of standard input; say whether neither came."""
        try:
            ready, _, _ = select.select([self.stdin], [], [], wait_s)
        except (OSError, ValueError):
            return False
        return not ready


def of_process() -> Surroundings:
    """Describe the running process; a `.env` file in the current directory adds variables that are not set."""
    environ = {**read_env_file(Path(".env")), **os.environ}
    return Surroundings(
        environ=environ,
        home=Path(environ.get("HOME") or Path.home()),
        stdin=_binary(sys.stdin, os.O_RDONLY),
        stdout=_binary(sys.stdout, os.O_WRONLY),
        stderr=_binary(sys.stderr, os.O_WRONLY),
        stdin_is_piped=_is_piped(0),
        stdout_is_terminal=os.isatty(1),
        stderr_is_terminal=os.isatty(2),
        columns=_columns(environ),
        connect=_connect,
        stdin_is_terminal=os.isatty(0),
    )


def _connect(endpoint: Endpoint) -> Transport:
    """Import the HTTP client only when a request is about to be made: it costs more than printing help."""
    from createos_cli.transport import open_transport

    return open_transport(endpoint)


def read_env_file(path: Path) -> dict[str, str]:
    """Return the `KEY=VALUE` lines of a file; quotes are taken off, anything else is skipped, no file is no error."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    pairs = (line.strip().removeprefix("export ").partition("=") for line in text.splitlines())
    return {
        key.strip(): _unquote(value.strip()) for key, equals, value in pairs if equals and key.strip().isidentifier()
    }


def _unquote(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return value.partition(" #")[0].rstrip()


def _columns(environ: Mapping[str, str]) -> int | None:
    told = environ.get("COLUMNS", "")
    if told.isdecimal() and int(told) > 0:
        return int(told)
    try:
        return os.get_terminal_size(1).columns or None
    except OSError:
        return None


def _is_piped(descriptor: int) -> bool:
    try:
        return not stat.S_ISCHR(os.fstat(descriptor).st_mode)
    except OSError:
        return False


def _binary(stream: object, flags: int) -> BinaryIO:
    """Return the byte side of a standard stream; one that was closed before we started reads and writes nothing."""
    buffer: BinaryIO | None = getattr(stream, "buffer", None)
    return buffer or os.fdopen(os.open(os.devnull, flags), "rb" if flags == os.O_RDONLY else "wb")
