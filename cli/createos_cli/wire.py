"""What a transport is: a function from Request to Response. Tests pass their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    """One request. *silence_s* is how long the server may say nothing; None waits for ever."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes | None
    silence_s: float | None


@dataclass(frozen=True)
class Response:
    """One answer: header names in lower case, the body in pieces as they arrive."""

    status: int
    headers: Mapping[str, str]
    pieces: Iterable[bytes]


Transport = Callable[[Request], Response]
