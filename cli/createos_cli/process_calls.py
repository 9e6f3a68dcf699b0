"""What the `process` commands ask of the server, beyond one call."""

from __future__ import annotations

import base64
from pathlib import Path

from createos_cli.client import Client, JsonObject
from createos_cli.durations import parse_duration
from createos_cli.errors import ApiFailure, Usage
from createos_cli.journal import Exit, Piece, follow
from createos_cli.output import Output
from createos_cli.session import Session

POLL_MS = 30_000
TIMED_OUT = 408


def follow_output(session: Session, path: str, after: int) -> int:
    """Print what a process writes until its end and return its exit code."""
    for event in follow(session.client, path, after):
        if isinstance(event, Exit):
            return event.code
        _write(session.output, event)
    return 0


def _write(output: Output, piece: Piece) -> None:
    (output.write_error if piece.stream == "stderr" else output.write)(piece.data)


def wait_for_end(client: Client, path: str, scope: str, timeout: str) -> JsonObject:
    """Poll for the end; each poll is answered within half a minute."""
    left_ms = int(parse_duration(timeout) * 1000) if timeout else None
    while True:
        step = POLL_MS if left_ms is None else min(POLL_MS, left_ms)
        try:
            return client.get(f"{path}/wait", scope=scope, timeout_ms=step)
        except ApiFailure as exc:
            if exc.status != TIMED_OUT:
                raise
            left_ms = None if left_ms is None else left_ms - step
            if left_ms == 0:
                raise


def send_input(session: Session, path: str, data: bytes) -> JsonObject:
    """Write to a process's standard input."""
    return session.client.post(f"{path}/input", {"data_base64": base64.b64encode(data).decode()})


def input_bytes(text: str | None, file: Path | None, encoded: str | None) -> bytes:
    """Return what one of the three flags says; raise Usage when it cannot be read."""
    if text is not None:
        return f"{text}\n".encode()
    try:
        return file.read_bytes() if file else base64.b64decode(encoded or "", validate=True)
    except OSError as exc:
        raise Usage(f"{file} cannot be read: {exc.strerror}", hint="name a file that you may read") from exc
    except ValueError as exc:
        raise Usage("--base64 is not base64", hint="for example: --base64 aGVsbG8K") from exc
