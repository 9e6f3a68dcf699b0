"""The output of a managed process, as it comes (wire-api 8.4); survives a connection that breaks."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from time import sleep

from createos_cli.client import Client, JsonObject
from createos_cli.errors import ApiFailure, CliError, Unreachable

RETRY_S = 1.0
TRIES = 30


@dataclass(frozen=True)
class Piece:
    """Some output; *stream* is stdout, stderr or pty."""

    stream: str
    data: bytes


@dataclass(frozen=True)
class Exit:
    """The end of the process."""

    code: int
    signal: str = ""


def follow(client: Client, path: str, after: int = 0) -> Iterator[Piece | Exit]:
    """Yield what a process writes from behind sequence number *after* to its end.

    A connection that breaks is made again where it ended; what the journal has lost meanwhile is skipped.
    """
    tries = 0
    while True:
        try:
            for event in client.follow(f"{path}/connect", after=after):
                tries = 0
                if event.get("type") == "error":
                    after = _offset(event)
                    break
                if event.get("type") == "data":
                    after = int(event.get("seq", after))
                    yield Piece(str(event.get("stream", "")), base64.b64decode(str(event.get("data_base64", ""))))
                elif event.get("type") == "exit":
                    yield Exit(int(event.get("exit_code", 0)), str(event.get("signal", "")))
                    return
        except (Unreachable, ApiFailure) as exc:
            gone = isinstance(exc, ApiFailure) and exc.status < 500
            tries += 1
            if gone or tries > TRIES:
                raise
            sleep(RETRY_S)


def _offset(event: JsonObject) -> int:
    """Return where the journal begins now, or raise what the event says."""
    oldest = event.get("oldest_available_seq")
    if not isinstance(oldest, int):
        raise CliError(str(event.get("error") or "the process's output cannot be read"), hint="attach again")
    return oldest - 1
