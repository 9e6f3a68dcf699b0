"""What a transport is: a function from Request to Response. Tests pass their own."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    """One request. *silence_s* is how long the server may say nothing; None waits for ever.

    A body in pieces is sent as they come. *upgrade* names the protocol that the connection is to speak from then on, if
    the server agrees.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes | Iterable[bytes] | None
    silence_s: float | None
    upgrade: str = ""


@dataclass(frozen=True)
class Upgraded:
    """A connection that speaks another protocol now: its socket, without a time limit, and what was read already."""

    socket: socket.socket
    first: bytes = b""


@dataclass(frozen=True)
class Response:
    """One answer: header names in lower case, the body in pieces as they arrive; *upgraded* when the server agreed."""

    status: int
    headers: Mapping[str, str]
    pieces: Iterable[bytes]
    upgraded: Upgraded | None = None


Transport = Callable[[Request], Response]
