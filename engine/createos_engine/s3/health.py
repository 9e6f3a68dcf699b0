"""What is known of an endpoint from the requests that went to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus

import httpx

from createos_engine.s3.causes import cause, unreachable

# For an object these may concern that object alone: without a code, or with one that says so little.
_OF_THE_OBJECT = frozenset({"", "AccessDenied"})


class Health:
    """Says each change once: why the disk does not work, or empty when it does again."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._cause = ""
        self._answering = True

    def answered(self, status: int, code: str, headers: Mapping[str, str], *, of_object: bool) -> None:
        """Note an answer, whatever it says."""
        refused = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
        unclear = of_object and refused and code in _OF_THE_OBJECT
        if not unclear:
            self._say(cause(status, code, headers))
        elif not self._answering:
            self._say("")
        self._answering = True

    def unanswered(self, exc: httpx.TransportError) -> str:
        """Note that there was no answer, or no whole one, and return why."""
        return self.without(unreachable(exc))

    def without(self, why: str) -> str:
        """Note why nothing could be asked at all, and return it."""
        self._answering = False
        self._say(why)
        return why

    def _say(self, why: str) -> None:
        if why != self._cause:
            self._cause = why
            self._tell(why)
