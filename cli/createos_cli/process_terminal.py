"""A managed terminal on the user's own: keys go in as input, output comes from the journal, Ctrl-] leaves it."""

from __future__ import annotations

import base64
import os
import select
import signal
from contextlib import suppress
from queue import Empty, Queue
from threading import Thread

from createos_cli.client import Client
from createos_cli.errors import CliError, Usage
from createos_cli.journal import Exit, Piece, follow
from createos_cli.session import Session

DETACH = b"\x1d"
INTERRUPT = b"\x03"
PIECE_BYTES = 65_536
STEP_S = 0.05


def attach_terminal(session: Session, path: str, after: int = 0) -> int:
    """Be the process's terminal until it ends or the user leaves; return its exit code, 0 after leaving."""
    if not session.around.stdin_is_terminal:
        raise Usage("a terminal is needed as standard input", hint="use --raw, or process input")
    from createos_cli.terminal import raw, tidy

    stdin, stdout = session.around.stdin.fileno(), session.around.stdout.fileno()
    events: Queue[Piece | Exit | CliError] = Queue()
    Thread(target=_read, args=(session.client, path, after, events), daemon=True).start()
    with raw(stdin):
        code = _carry(session.client, path, events, stdin, stdout)
    if code is None:
        tidy(stdout)
        session.output.remark(f"Detached; it goes on: createos sandbox process attach … {path.rpartition('/')[2]}")
        return 0
    return code


def _read(client: Client, path: str, after: int, events: Queue[Piece | Exit | CliError]) -> None:
    try:
        for event in follow(client, path, after):
            events.put(event)
    except CliError as exc:
        events.put(exc)


def _carry(client: Client, path: str, events: Queue[Piece | Exit | CliError], stdin: int, stdout: int) -> int | None:
    """Carry keys and output; return the exit code, None when the user has left."""
    sizes = _Sizes(client, path)
    while True:
        with suppress(Empty):
            while event := events.get(timeout=STEP_S):
                if isinstance(event, CliError):
                    raise event
                if isinstance(event, Exit):
                    return event.code
                os.write(stdout, event.data)
        sizes.send_if_changed(stdin)
        if select.select([stdin], [], [], 0)[0]:
            keys = os.read(stdin, PIECE_BYTES)
            if not keys or DETACH in keys:
                return None
            _send(client, path, keys)


def _send(client: Client, path: str, keys: bytes) -> None:
    """Send keys; Ctrl-C is a signal, as the official client has it (wire-api 8.8)."""
    if keys == INTERRUPT:
        client.post(f"{path}/signal", {"signal": signal.SIGINT.name})
    else:
        client.post(f"{path}/input", {"data_base64": base64.b64encode(keys).decode()})


class _Sizes:
    """Tells the process about the terminal's size, at first and whenever it changes."""

    def __init__(self, client: Client, path: str) -> None:
        self._client = client
        self._path = path
        self._known: os.terminal_size | None = None

    def send_if_changed(self, stdin: int) -> None:
        """Send the size if it is another one."""
        size = os.get_terminal_size(stdin)
        if size != self._known:
            self._known = size
            with suppress(CliError):
                self._client.post(f"{self._path}/resize", {"rows": size.lines, "cols": size.columns})
